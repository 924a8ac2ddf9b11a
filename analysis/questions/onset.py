"""The time of the onset as survival data, to which running and crashed trials contribute too.

Trials are evaluated at the end of every epoch: an onset at epoch t happened between the evaluations of t - 1 and t and
is interval-censored on a grid that all trials share. On a shared grid the estimate for interval-censored data (Turnbull
1976) is the Kaplan-Meier estimate at the evaluations; between them the curve is unknown and not flat.

An onset at epoch t is known `patience` - 1 epochs later. A trial without an onset that was seen until epoch T therefore
counts as event-free until T - patience + 1. Censoring must not depend on how close a trial is to its onset. A crash
caused by instability would violate this assumption; the reasons of censoring are counted to show it.
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
    """The epochs until a trial's event, or until the end of its observation without the event."""

    epochs: int
    happened: bool
    reason: str
    """``event``, or the end of the observation: ``ended, stopped, running, crashed, diverged`` or ``timeout``."""


@dataclass(frozen=True)
class CellSurvival:
    """The survival curve of one cell."""

    cell_id: str
    factors: dict[str, Any]
    question: str
    curve: Curve
    trials: int
    events: int
    censored: dict[str, int]
    """Number of trials without the event by the reason why their observation ended."""
    silent: int
    """Number of trials that ended unstable without an onset: the detector missed them, and this curve misses them."""

    def probability_by(self, epoch: int) -> tuple[float | None, Interval]:
        """P(event by the end of `epoch`) with its pointwise interval; None if it is not known that late."""
        survival, found = self.curve.survival_at(epoch)
        flipped = Interval(1 - found.high, 1 - found.low, found.level, found.kind)
        return (None if survival is None else 1 - survival), flipped


@dataclass(frozen=True)
class CurveTest:
    """A log-rank test between two cells, or among all of them."""

    cells: tuple[str, ...]
    statistic: float
    p_value: float
    adjusted: float
    """P-value with Holm's correction over all pairs; the p-value itself for the test among all cells."""


def onset_survival(records: Sequence[TrialRecord], level: float = 0.95) -> list[CellSurvival]:
    """The time to the first onset in each cell, over finished, censored and running trials."""
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
    """Log-rank tests of the onset curves among all cells, and between each pair with Holm's correction.

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
    """The first onset of a trial, or the epochs during which it was observed without one."""
    onsets = _onset_epochs(record)
    if onsets:
        return EventTime(onsets[0], True, "event")
    # an open trial's record may have fewer rows than the trial has epochs, and only rows show that there was no onset
    epochs = len(record.trace) if record.verdict is None else record.epochs_run
    seen = epochs - record.protocol["fosc_patience"] + 1
    return EventTime(max(seen, 0), False, _end_reason(record))


def _onset_epochs(record: TrialRecord) -> Sequence[int]:
    """The onsets of a trial; those of a running trial come from its detector over the trace so far."""
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
