"""The shares of variance that single random streams decide, in sweeps with pinned seeds."""

from __future__ import annotations

from analysis.questions.variance_components import VALUES, VarianceShare, variance_shares
from analysis.report.context import ReportContext
from analysis.report.formatting import format_rate
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable


def variance_sections(context: ReportContext) -> list[Section]:
    """One section; none if no seeds are pinned or too few trials share one."""
    if not any(record.pins for record in context.counted):
        return []
    shares = [share for outcome in VALUES for share in variance_shares(context.counted, outcome, context.level)]
    if not shares:
        return []
    caption = (
        f"Brackets: {100 * context.level:g} % intervals. p: permutation test that the pinned seeds make no difference. "
        "Trials of a group share the pinned seeds and are not independent; clustered intervals of the rates allow for "
        "that."
    )
    rows = [_row(context.cell_names[share.cell_id], share) for share in shares]
    header = ("question", "cell", "groups", "trials", "share of variance", "p")
    return [
        Section(
            "variance",
            "Sources of randomness",
            "Trials that share the seed of a random stream agree as far as this stream decides the outcome.",
            tables=[TextTable(header, rows, 2, caption)],
        )
    ]


def _row(cell: str, share: VarianceShare) -> list[str]:
    return [
        share.question,
        cell,
        str(share.groups),
        str(share.trials),
        format_rate(share.share, share.interval),
        f"{share.p_value:.2g}",
    ]
