"""Which source of luck decides, in sweeps with pinned seeds."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.variance_components import VALUES, VarianceShare, variance_shares
from analysis.report.format import NOTHING
from analysis.report.grid import describe
from analysis.report.sections.base import Grid, Section
from core.records import TrialRecord


def attribution_sections(records: Sequence[TrialRecord], level: float) -> list[Section]:
    """One section, or none where no seed was pinned in a usable way."""
    if not any(record.pins for record in records):
        return []
    shares = [share for outcome in VALUES for share in variance_shares(records, outcome, level)]
    if not shares:
        return []
    header = ("question", "cell", "groups", "trials", "share", "p")
    caption = f"Brackets: {100 * level:g} % intervals. p: permutation test that the pinned seeds make no difference."
    return [
        Section(
            "luck",
            "Where the luck comes from",
            "Trials that share the seed of one stream agree as far as that stream decides the outcome.",
            grids=[Grid(header, [_row(share) for share in shares], 2, caption)],
        )
    ]


def _row(share: VarianceShare) -> list[str]:
    estimate = NOTHING if share.share is None else f"{100 * share.share:.0f} %"
    return [
        share.question,
        describe(share.factors) or "all",
        str(share.groups),
        str(share.trials),
        f"{estimate} [{100 * share.interval.low:.0f}–{100 * share.interval.high:.0f}]",
        f"{share.p_value:.2g}",
    ]
