"""Shares of variance for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from analysis.questions.variance_components import VarianceShare
from analysis.report.format import NOTHING
from analysis.report.grid import describe


def attribution_table(shares: Sequence[VarianceShare]) -> Table:
    """One row per question and cell."""
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        caption="Trials of a group share the pinned seeds, so they are no independent trials of the cell, and the "
        "rates' intervals above allow for that. p: permutation test that the pinned seeds do nothing.",
        caption_justify="left",
    )
    for header in ("question", "cell"):
        table.add_column(header)
    for header in ("groups", "trials", "share of variance, 95 %\ninterval", "p"):
        table.add_column(header, justify="right")
    for share in shares:
        estimate = NOTHING if share.share is None else f"{100 * share.share:.0f} %"
        table.add_row(
            share.question,
            describe(share.factors) or "all",
            str(share.groups),
            str(share.trials),
            rf"{estimate} \[{100 * share.interval.low:.0f}–{100 * share.interval.high:.0f}]",
            f"{share.p_value:.2g}",
        )
    return table
