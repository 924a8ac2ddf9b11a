"""Stopping early without lying: what the audit arm, which always runs to its end, says about the trials cut short.

A trial is *stoppable* if its alarm was confirmed before its last epoch: the stopper ends it, unless it is an audit
(drawn from the seed before the trial starts, so independent of everything that happens in it) or the sweep never stops
trials. How a stopped trial would have ended is unknown; the audited stoppable trials stand in for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from analysis.questions.rates import LABEL_QUESTIONS, group_by_cell, has_label, pinned_groups, varying_factors
from analysis.statistics.clustered_interval import clustered
from analysis.statistics.intervals import Interval, IntervalKind, Proportion, interval, proportion
from analysis.statistics.melded_interval import anytime_product, melded_product
from core.records import TrialRecord


@dataclass(frozen=True)
class StopperAudit:
    """How good the stopper's decisions are, from trials that it was not allowed to stop."""

    audited: int
    """Uncensored finished trials that ran to the end whatever the detector said."""
    false_alarms: Proportion
    self_healing: Proportion
    misses: Proportion


@dataclass(frozen=True)
class CorrectedRate:
    """A cell's rate of instability at the end of training had nothing been stopped, and the raw ever-unstable rate."""

    cell_id: str
    factors: dict[str, Any]
    question: str
    trials: int
    """Finished trials that were not censored."""
    stoppable: int
    """Those among them whose alarm was confirmed before the last epoch."""
    followed: int
    """Stoppable trials that ran on to the end."""
    rate: float | None
    """None if there are stoppable trials and none was followed: then only the interval is known."""
    interval: Interval
    ever: Proportion


def audit_stopper(
    records: Sequence[TrialRecord], level: float = 0.95, kind: IntervalKind = "clopper-pearson"
) -> StopperAudit:
    """The stopper's error rates over all `records`, which may come from several cells.

    With ``kind`` clustered, trials that share pinned seeds are treated as one group.
    """
    ran_on = [r for r in _finished(records) if _runs_on(r)]
    unstable = [r for r in ran_on if _unstable(r)]
    fine = [r for r in ran_on if not _unstable(r)]
    stoppable = [r for r in ran_on if _stoppable(r)]

    def share(question: str, hits: list[TrialRecord], among: list[TrialRecord]) -> Proportion:
        if kind == "clustered":
            found = set(map(id, hits))
            groups = pinned_groups(among, lambda record: id(record) in found)
            rate = len(hits) / len(among) if among else None
            return Proportion(question, len(hits), len(among), rate, clustered(groups, level))
        return proportion(question, len(hits), len(among), level, kind)

    return StopperAudit(
        audited=len(ran_on),
        false_alarms=share(
            "Of the trials that are not unstable at the end, how many would the stopper have ended?",
            [r for r in fine if _stoppable(r)],
            fine,
        ),
        self_healing=share(
            "Of the trials that the stopper would end, how many are no longer unstable at the end?",
            [r for r in stoppable if not _unstable(r)],
            stoppable,
        ),
        misses=share(
            "Of the trials that are unstable at the end, how many would the stopper have let run?",
            [r for r in unstable if not _stoppable(r)],
            unstable,
        ),
    )


def corrected_rates(
    records: Sequence[TrialRecord], level: float = 0.95, kind: Literal["melded", "anytime"] = "melded"
) -> list[CorrectedRate]:
    """Rate of instability at the end of training per cell, corrected for early stopping.

    With u = P(stoppable, or unstable at the end), v = P(stoppable | either) and c = P(fine at the end | stoppable), the
    rate is u (1 - v c); u and v are seen in all trials and c in the stoppable trials that ran on. The estimate equals
    Hajek's inverse-probability weighted mean with weights post-stratified on *stoppable*: followed stoppable trials
    count stoppable / followed times, others once. It assumes that audits were drawn independently of the outcome, which
    the seed's draw guarantees, and that censoring does not depend on how the trial would have ended. Where every trial
    ran on by design, the rate is a plain k of n, and so is its interval.

    `melded` intervals suit a number of trials fixed in advance, `anytime` ones hold under looking and adaptive seeds.
    """
    names = varying_factors(records)
    return [
        _corrected(_finished(group), cell_id, {name: group[0].cell.get(name) for name in names}, level, kind)
        for cell_id, group in group_by_cell(records).items()
    ]


def _corrected(
    trials: list[TrialRecord], cell_id: str, factors: dict[str, Any], level: float, kind: Literal["melded", "anytime"]
) -> CorrectedRate:
    stoppable = [r for r in trials if _stoppable(r)]
    followed = [r for r in stoppable if not r.stopped_early]
    fine = sum(not _unstable(r) for r in followed)
    n, known = len(trials), sum(_unstable(r) for r in trials if not _stoppable(r))
    either = known + len(stoppable)
    plain: IntervalKind = "anytime" if kind == "anytime" else "clopper-pearson"
    if all(_runs_on(r) for r in trials):
        found = interval(plain, either - fine, n, level)
    else:
        product = melded_product if kind == "melded" else anytime_product
        found = product((either, n), (len(stoppable), either), (fine, len(followed)), level)
    rate = None
    if n and (followed or not stoppable):
        weight = len(stoppable) / len(followed) if followed else 0.0
        rate = (known + weight * (len(followed) - fine)) / n
    return CorrectedRate(
        cell_id=cell_id,
        factors=factors,
        question="How likely is a trial unstable at the end of training, if nothing is stopped?",
        trials=n,
        stoppable=len(stoppable),
        followed=len(followed),
        rate=rate,
        interval=found,
        ever=proportion(LABEL_QUESTIONS["ever"], sum(has_label(r, "ever") is True for r in trials), n, level, plain),
    )


def _finished(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [record for record in records if has_label(record, "any") is not None]


def _unstable(record: TrialRecord) -> bool:
    return has_label(record, "any") is True


def _runs_on(record: TrialRecord) -> bool:
    return record.audit or not record.protocol["stop"]


def _stoppable(record: TrialRecord) -> bool:
    assert record.verdict is not None
    confirmed = record.verdict.confirmed_epoch
    return confirmed is not None and confirmed < record.epochs_planned
