"""Onset as survival data: when do trials become unstable? A half-finished sweep already counts.

Trials are evaluated at the end of every epoch, so an onset at epoch t happened between the evaluations of t - 1 and t:
interval-censored on one grid that all trials share. On a shared grid the estimate for interval-censored data (Turnbull
1976) is the Kaplan-Meier estimate at the evaluations; between them the curve is unknown, not flat.

An onset at epoch t is known only `patience` - 1 epochs later, so a trial without one that was seen until epoch T counts
as event-free until T - patience + 1. Censoring must not depend on how close a trial is to its onset; a crash caused by
instability would break that, and so the reasons are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from analysis.questions.rates import group_by_cell, varying_factors
from analysis.statistics.intervals import Interval
from analysis.statistics.kaplan_meier import Curve, kaplan_meier, log_rank
from analysis.statistics.multiple_testing import holm
from core.config import ProtocolOptions
from core.records import TrialRecord
from core.verdict import build_detector


@dataclass(frozen=True)
class EventTime:
    """How long one trial was watched, in epochs, and whether the event ended that."""

    epochs: int
    happened: bool
    reason: str
    """``event``, or why watching ended: ``ended``, ``stopped``, ``running``, ``crashed``, ``diverged``, ``timeout``."""


@dataclass(frozen=True)
class CellSurvival:
    """One cell's survival curve of one event."""

    cell_id: str
    factors: dict[str, Any]
    question: str
    curve: Curve
    trials: int
    events: int
    censored: dict[str, int]
    """Trials without the event by the reason why watching ended."""
    silent: int
    """Trials that ended unstable without any onset: the detector missed them, and so does this curve."""

    def probability_by(self, epoch: int) -> tuple[float | None, Interval]:
        """P(event by the end of `epoch`) with its pointwise interval; None where no trial was watched that long."""
        survival, found = self.curve.survival_at(epoch)
        flipped = Interval(1 - found.high, 1 - found.low, found.level, found.kind)
        return (None if survival is None else 1 - survival), flipped


@dataclass(frozen=True)
class CurveTest:
    """Log-rank test between two cells, or among all of them."""

    cells: tuple[str, ...]
    statistic: float
    p_value: float
    adjusted: float
    """Holm's correction over all pairs; the p-value itself for the test among all cells."""


def onset_survival(records: Sequence[TrialRecord], level: float = 0.95) -> list[CellSurvival]:
    """Time to the first onset, per cell, over finished, censored and running trials alike."""
    names = varying_factors(records)
    found = []
    for cell_id, group in group_by_cell(records).items():
        times = [onset_time(record) for record in group]
        verdicts = [record.verdict for record in group if record.verdict]
        found.append(
            CellSurvival(
                cell_id=cell_id,
                factors={name: group[0].cell.get(name) for name in names},
                question="How likely has a trial had an onset (alarm of its detector) by the end of epoch t?",
                curve=kaplan_meier([time.epochs for time in times], [time.happened for time in times], level),
                trials=len(times),
                events=sum(time.happened for time in times),
                censored=dict(Counter(time.reason for time in times if not time.happened)),
                silent=sum(verdict.outcome == "unstable" and not verdict.onset for verdict in verdicts),
            )
        )
    return found


def compare_onsets(records: Sequence[TrialRecord]) -> tuple[CurveTest, list[CurveTest]]:
    """Log-rank tests of the onset curves: among all cells, and between each pair with Holm's correction.

    Raises:
        ValueError: there are fewer than two cells.
    """
    samples = {}
    for cell_id, group in group_by_cell(records).items():
        found = [onset_time(record) for record in group]
        samples[cell_id] = ([time.epochs for time in found], [time.happened for time in found])
    if len(samples) < 2:
        raise ValueError(f"{len(samples)} cell(s): a comparison needs at least 2")
    overall = log_rank(list(samples.values()))
    pairs = list(combinations(samples, 2))
    tests = [log_rank([samples[one], samples[other]]) for one, other in pairs]
    adjusted = holm([p for _, p in tests])
    return CurveTest(tuple(samples), *overall, overall[1]), [
        CurveTest(pair, *test, q) for pair, test, q in zip(pairs, tests, adjusted, strict=True)
    ]


def onset_time(record: TrialRecord) -> EventTime:
    """First onset of a trial, or how long it was seen without one."""
    onsets = _onset_epochs(record)
    if onsets:
        return EventTime(onsets[0], True, "event")
    # an open trial's record may have fewer rows than the trial has epochs, and only rows show that there was no onset
    epochs = len(record.trace) if record.verdict is None else record.epochs_run
    seen = epochs - record.protocol["fosc_patience"] + 1
    return EventTime(max(seen, 0), False, _end_reason(record))


def _onset_epochs(record: TrialRecord) -> Sequence[int]:
    """Onsets of a trial; those of a running one by its detector over the trace up to now."""
    if record.verdict is not None:
        return record.verdict.onset_epochs
    detector = build_detector(ProtocolOptions.model_validate(record.protocol))
    for row in record.trace:
        epoch = row["epoch"]
        assert epoch is not None
        detector.update(int(epoch), row)
    return detector.onset_epochs


def _end_reason(record: TrialRecord) -> str:
    if record.verdict is None:
        return "running"
    if record.verdict.censor_reason:
        return record.verdict.censor_reason.split(":")[0]
    return "stopped" if record.stopped_early else "ended"
