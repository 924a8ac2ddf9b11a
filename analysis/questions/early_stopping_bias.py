"""The bias of early stopping, estimated from audited trials, which always run to their end, and corrected.

A trial is *stoppable* if its alarm was confirmed before its last epoch: the stopper ends it, unless the trial is
audited or the sweep never stops trials. Audits are drawn from the trial's identity before it starts and are therefore
independent of everything that happens in it. How a stopped trial would have ended is unknown; the audited stoppable
trials represent it. Those of all cells are pooled, unless a test finds that cells heal differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from analysis.questions.rates import LABEL_QUESTIONS, group_by_cell, has_label, pinned_groups, varying_factors
from analysis.statistics.clustered_interval import CLUSTERED, of_groups
from analysis.statistics.homogeneity import homogeneity_test
from analysis.statistics.intervals import Interval, IntervalKind, Proportion, interval, proportion
from analysis.statistics.melded_interval import anytime_product, melded_product
from core.records import TrialRecord

POOLED_LEVEL = 0.05
"""P-value of the test of equal healing below which cells are corrected by their own audited trials only."""


@dataclass(frozen=True)
class StopperAudit:
    """The error rates of the stopper, from trials that it was not allowed to stop."""

    audited: int
    """Number of uncensored finished trials that ran to the end regardless of alarms."""
    false_alarms: Proportion
    """Share of the trials that are not unstable at the end in which an alarm was confirmed before the last epoch."""
    self_healing: Proportion
    """Share of the trials with such an alarm that are not unstable at the end."""
    misses: Proportion
    """Share of the trials that are unstable at the end that had no such alarm."""


@dataclass(frozen=True)
class CorrectedRate:
    """The rate of instability of a cell at the end of training if no trial were stopped, and the ever-unstable rate."""

    cell_id: str
    factors: dict[str, Any]
    question: str
    trials: int
    """Number of finished trials that were not censored."""
    stoppable: int
    """Number of these trials whose alarm was confirmed before the last epoch."""
    followed: int
    """Number of stoppable trials of this cell that ran to the end."""
    representatives: int
    """Number of followed trials that represent the stopped ones: those of all cells, or of this cell."""
    rate: float | None
    """Corrected rate; None if there are stopped trials and no representative: then only the interval is known."""
    interval: Interval
    ever: Proportion
    """Proportion of trials that were unstable at any time; stopping does not change it."""


class Healing(NamedTuple):
    """Audited trials that could have been stopped, and whether cells differ in how many of them heal."""

    healed: int
    """Number of followed stoppable trials that are not unstable at their end."""
    followed: int
    """Number of stoppable trials that ran to the end."""
    p_value: float
    """Test that all cells have one share of healing; 1 with fewer than two cells that have followed trials."""

    @property
    def pooled(self) -> bool:
        """Whether the audited trials of all cells represent the stopped trials of each."""
        return self.p_value >= POOLED_LEVEL


def healing_of_stoppable(records: Sequence[TrialRecord]) -> Healing:
    """The share of stoppable trials that heal, over all cells, and the test that cells do not differ in it."""
    counts = [_healing(_finished(group)) for group in group_by_cell(records).values()]
    known = [count for count in counts if count[1]]
    return Healing(sum(k for k, _ in known), sum(n for _, n in known), homogeneity_test(known))


def _healing(trials: Sequence[TrialRecord]) -> tuple[int, int]:
    followed = [r for r in trials if _stoppable(r) and not r.stopped_early]
    return sum(not _unstable(r) for r in followed), len(followed)


def audit_stopper(
    records: Sequence[TrialRecord], level: float = 0.95, kind: IntervalKind = "clopper-pearson"
) -> StopperAudit:
    """The error rates of the stopper over all `records`, which may come from several cells.

    With the kinds ``clustered`` and ``clustered-anytime``, trials that share pinned seeds are one group.
    """
    ran_on = [r for r in _finished(records) if not r.can_be_stopped]
    unstable = [r for r in ran_on if _unstable(r)]
    fine = [r for r in ran_on if not _unstable(r)]
    stoppable = [r for r in ran_on if _stoppable(r)]

    def share(question: str, hits: list[TrialRecord], among: list[TrialRecord]) -> Proportion:
        if kind in CLUSTERED:
            found = set(map(id, hits))
            groups = pinned_groups(among, lambda record: id(record) in found)
            rate = len(hits) / len(among) if among else None
            return Proportion(question, len(hits), len(among), rate, of_groups(kind, groups, level))
        return proportion(question, len(hits), len(among), level, kind)

    return StopperAudit(
        audited=len(ran_on),
        false_alarms=share(
            "Of the trials that are not unstable at the end, how many would have been stopped?",
            [r for r in fine if _stoppable(r)],
            fine,
        ),
        self_healing=share(
            "Of the trials that would have been stopped, how many are not unstable at the end?",
            [r for r in stoppable if not _unstable(r)],
            stoppable,
        ),
        misses=share(
            "Of the trials that are unstable at the end, how many would not have been stopped?",
            [r for r in unstable if not _stoppable(r)],
            unstable,
        ),
    )


def corrected_rates(
    records: Sequence[TrialRecord], level: float = 0.95, kind: Literal["melded", "anytime"] = "melded"
) -> list[CorrectedRate]:
    """The rate of instability at the end of training in each cell, corrected for early stopping.

    With u = P(stoppable, or unstable at the end), v = P(stoppable | either) and c = P(fine at the end | stoppable), the
    rate is u (1 - v c). The cell's trials give u and v. The stoppable trials that ran to the end give c: those of all
    cells if `healing_of_stoppable` does not find that cells differ, and otherwise those of the cell. Without pooling
    the estimate equals Hajek's inverse-probability weighted mean with weights post-stratified on *stoppable*: a
    followed stoppable trial counts stoppable / followed times, every other trial once. It assumes that audits are
    independent of the outcome, which drawing them before the start guarantees, and that censoring does not depend on
    how a trial would have ended. If every trial of a cell ran to its end by design, the rate is k of n and its interval
    that of a proportion.

    Args:
        records: trials of one sweep.
        level: coverage of the intervals.
        kind: ``melded`` for a number of trials fixed in advance; ``anytime`` holds at all looks and for adaptive seeds.
    """
    names = varying_factors(records)
    healing = healing_of_stoppable(records)
    shared = (healing.healed, healing.followed) if healing.pooled else None
    return [
        _corrected(_finished(group), cell_id, {name: group[0].cell.get(name) for name in names}, shared, level, kind)
        for cell_id, group in group_by_cell(records).items()
    ]


def _corrected(
    trials: list[TrialRecord],
    cell_id: str,
    factors: dict[str, Any],
    shared: tuple[int, int] | None,
    level: float,
    kind: Literal["melded", "anytime"],
) -> CorrectedRate:
    own = _healing(trials)
    fine, followed = shared or own
    stoppable = sum(_stoppable(r) for r in trials)
    n, known = len(trials), sum(_unstable(r) for r in trials if not _stoppable(r))
    either = known + stoppable
    plain: IntervalKind = "anytime" if kind == "anytime" else "clopper-pearson"
    # that of the rates on the page
    usual: IntervalKind = "anytime" if kind == "anytime" else "blaker"
    if any(r.can_be_stopped for r in trials):
        product = melded_product if kind == "melded" else anytime_product
        found = product((either, n), (stoppable, either), (fine, followed), level)
        ended = stoppable * (followed - fine) / followed if followed else None if stoppable else 0.0
    else:
        found = interval(plain, either - own[0], n, level)
        ended = stoppable - own[0]
    rate = (known + ended) / n if n and ended is not None else None
    return CorrectedRate(
        cell_id=cell_id,
        factors=factors,
        question="How likely is a trial unstable at the end of training if no trial is stopped?",
        trials=n,
        stoppable=stoppable,
        followed=own[1],
        representatives=followed,
        rate=rate,
        interval=found,
        ever=proportion(LABEL_QUESTIONS["ever"], sum(has_label(r, "ever") is True for r in trials), n, level, usual),
    )


def _finished(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [record for record in records if has_label(record, "any") is not None]


def _unstable(record: TrialRecord) -> bool:
    return has_label(record, "any") is True


def _stoppable(record: TrialRecord) -> bool:
    assert record.verdict is not None
    confirmed = record.verdict.confirmed_epoch
    return confirmed is not None and confirmed < record.epochs_planned
