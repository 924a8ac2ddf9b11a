"""The quality of other detectors, from a replay over stored traces without any new training.

The ground truth is a failure of `analysis.questions.failures`. By default it is the confirmed label: overestimation or
catastrophic overfitting, found by the verdict attacks on an alarm or at the end. A replay has two limits. During
training, a trial was attacked only on an alarm of the protocol's own detector; an instability that healed without an
alarm therefore counts as none. The trace of a stopped trial ends at the stop; a slower detector therefore cannot find
it. Audited trials and `--no-stop` sweeps lack the second limit.

A detector is judged by trials of the same cell. Cells differ in many metrics, and a detector that only recognises an
unstable cell would otherwise look good. Cells whose trials are all of one kind do not enter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from analysis.questions.failures import Failure, failure_onset, has_failure
from analysis.statistics.auc import adjusted_roc, auc_within
from analysis.statistics.intervals import Interval, Proportion, proportion
from core.records import TrialRecord
from core.verdict import DETECTORS, ScoredDetector


@dataclass(frozen=True)
class Replay:
    """The scores of one detector over one trial."""

    cell_id: str
    positive: bool
    onset: int | None
    """Epoch at which the failure begins, see `failure_onset`; None if it is unknown or there is no failure."""
    epochs: np.ndarray
    """Epochs at which an alarm could start."""
    scores: np.ndarray
    """Minimum of `patience` scores in a row. The alarm starts at the first epoch where it is above the threshold."""

    @property
    def peak(self) -> float:
        """Largest score: the detector raises an alarm in this trial if its threshold is below it."""
        return float(self.scores.max(initial=-np.inf))

    def alarm_epoch(self, threshold: float) -> int | None:
        """First epoch at whose end the alarm would have been on; None if it would never have been."""
        above = np.flatnonzero(self.scores > threshold)
        return int(self.epochs[above[0]]) if len(above) else None


@dataclass(frozen=True)
class DetectorQuality:
    """The ROC curve of one detector, its recommended threshold, and its cross-validated error rates."""

    name: str
    positives: int
    negatives: int
    cells: int
    """Number of cells that have trials of both kinds; only their trials are judged."""
    hit_rate: np.ndarray
    """Share of positive trials with an alarm, see `analysis.statistics.auc.adjusted_roc`."""
    false_alarm_rate: np.ndarray
    """Share of negative trials of the same cells with an alarm."""
    auc: float
    """Share of the pairs of a positive and a negative trial of one cell in which the positive one has the larger score.
    """
    auc_interval: Interval
    threshold: float
    """Recommended threshold, see `recommended_threshold`."""
    threshold_interval: Interval
    """Bootstrap interval over trials within cells; in the unit of the score, not a rate."""
    cross_validated_hits: Proportion | None
    """Positive trials with an alarm at a threshold chosen on other trials; None with fewer than 2 of either kind."""
    cross_validated_false_alarms: Proportion | None
    """Negative trials with an alarm at a threshold chosen on other trials; None with fewer than 2 of either kind."""
    lead_epochs: tuple[float, float, float] | None
    """Quartiles of the epochs from the alarm at `threshold` to the failure's onset, over trials with both."""


def judge_detectors(
    records: Sequence[TrialRecord], patience: int, grace: int, level: float = 0.95, failure: Failure = "any"
) -> tuple[list[DetectorQuality], dict[str, str]]:
    """The quality of all detectors of `core.verdict.DETECTORS` in descending order of AUC.

    The second result is the reason why a detector has no quality, by the detector's title.
    """
    judged, skipped = [], {}
    for title, make in ((spec.title, spec.make) for spec in DETECTORS.values()):
        try:
            # a replay reads scores, which do not depend on the threshold
            replays = replay(records, partial(make, threshold=0, patience=patience, grace=grace), failure)
            judged.append(detector_quality(title, replays, level))
        except KeyError as missing:
            skipped[title] = _incomplete(records, missing.args[0])
        except ValueError as error:
            skipped[title] = str(error)
    return sorted(judged, key=lambda quality: -quality.auc), skipped


def replay(
    records: Sequence[TrialRecord], make: Callable[[], ScoredDetector], failure: Failure = "any"
) -> list[Replay]:
    """The detector over every uncensored finished trial with a trace that is known to have the failure or not.

    Raises:
        KeyError: an epoch of a trace lacks a metric that the detector reads.
    """
    known = ((record, has_failure(record, failure)) for record in _replayable(records))
    return [_replay(record, make(), failure, positive) for record, positive in known if positive is not None]


def _replayable(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    return [r for r in records if r.verdict and r.verdict.outcome != "censored" and len(r.trace)]


def _incomplete(records: Sequence[TrialRecord], metric: str) -> str:
    """A sentence that says how many epochs of the traces lack the metric."""
    traces = [record.trace for record in _replayable(records)]
    measured, epochs = sum(trace.measured(metric) for trace in traces), sum(map(len, traces))
    if not measured:
        return f"the traces have no {metric}"
    return f"{metric} was measured in {measured} of {epochs} epochs, and a detector needs every epoch"


def _replay(record: TrialRecord, detector: ScoredDetector, failure: Failure, positive: bool) -> Replay:
    epochs = record.trace.column("epoch").astype(int)
    scores = detector.scores(record.trace)
    counted = epochs > detector.grace
    epochs, scores = epochs[counted], scores[counted]
    patience = detector.patience
    if len(scores) < patience:
        epochs, scores = epochs[:0], scores[:0]
    elif patience > 1:
        scores = np.lib.stride_tricks.sliding_window_view(scores, patience).min(axis=1)
        epochs = epochs[patience - 1 :]
    onset = failure_onset(record, failure) if positive else None
    return Replay(record.cell_id, positive, onset, epochs, scores)


def detector_quality(
    name: str, replays: Sequence[Replay], level: float = 0.95, resamples: int = 200, seed: int = 0
) -> DetectorQuality:
    """The quality of one detector from its replays.

    Args:
        name: name of the detector.
        replays: one replay for each trial.
        level: coverage of the intervals.
        resamples: number of bootstrap samples.
        seed: seed of the bootstrap and of the folds.

    Raises:
        ValueError: no cell has a positive and a negative trial.
    """
    kinds: dict[str, set[bool]] = {}
    for one in replays:
        kinds.setdefault(one.cell_id, set()).add(one.positive)
    judged = [one for one in replays if len(kinds[one.cell_id]) > 1]
    if not judged:
        found = sum(one.positive for one in replays)
        raise ValueError(
            f"{found} of {len(replays)} trials have a confirmed instability, and no cell has both kinds of trials"
        )
    positive = np.array([one.positive for one in judged], bool)
    peaks = _finite(np.array([one.peak for one in judged]))
    cell = np.unique([one.cell_id for one in judged], return_inverse=True)[1]
    members = [np.flatnonzero(cell == number) for number in range(cell.max() + 1)]
    strata = [(peaks[trials][positive[trials]], peaks[trials][~positive[trials]]) for trials in members]
    auc, auc_interval = auc_within(strata, level)
    false_alarms, hits = adjusted_roc(strata)
    rng = np.random.default_rng(seed)
    threshold = recommended_threshold(peaks, positive)
    draws = []
    for _ in range(resamples):
        kept = np.concatenate([rng.choice(trials, len(trials)) for trials in members])
        if 0 < positive[kept].sum() < len(kept):
            draws.append(recommended_threshold(peaks[kept], positive[kept]))
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    alarms = [(one.onset, one.alarm_epoch(threshold)) for one in judged]
    leads = [onset - alarm for onset, alarm in alarms if onset is not None and alarm is not None]
    cross_validated = _cross_validate(peaks, positive, rng, level)
    return DetectorQuality(
        name=name,
        positives=int(positive.sum()),
        negatives=int((~positive).sum()),
        cells=len(members),
        hit_rate=hits,
        false_alarm_rate=false_alarms,
        auc=auc,
        auc_interval=auc_interval,
        threshold=threshold,
        threshold_interval=Interval(float(low), float(high), level, "bootstrap"),
        cross_validated_hits=cross_validated[0],
        cross_validated_false_alarms=cross_validated[1],
        lead_epochs=tuple(np.quantile(leads, [0.25, 0.5, 0.75]).tolist()) if leads else None,
    )


def recommended_threshold(peaks: np.ndarray, positive: np.ndarray) -> float:
    """The threshold with the largest hit rate minus false-alarm rate.

    Every threshold between two neighbouring peaks has the same rates. Of the best gaps between neighbours the widest
    is taken, and of it the middle.
    """
    values, where = np.unique(peaks, return_inverse=True)
    hits = np.bincount(where, positive, len(values)) / positive.sum()
    false_alarms = np.bincount(where, ~positive, len(values)) / (~positive).sum()
    # entry i: a threshold between values[i - 1] and values[i]; at 0 every trial alarms
    gain = (hits - false_alarms)[::-1].cumsum()[::-1]
    between = (values[1:] + values[:-1]) / 2
    best = np.flatnonzero(gain[1:] >= gain.max() - 1e-12)
    if not len(best):
        return float(values[-1])
    return float(between[best[np.argmax(np.diff(values)[best])]])


def _cross_validate(
    peaks: np.ndarray, positive: np.ndarray, rng: np.random.Generator, level: float
) -> tuple[Proportion | None, Proportion | None]:
    smaller = int(min(positive.sum(), (~positive).sum()))
    if smaller < 2:
        return None, None
    folds = min(10, smaller)
    fold = np.empty(len(peaks), int)
    for kind in (positive, ~positive):
        fold[kind] = rng.permutation(np.arange(kind.sum()) % folds)
    alarm = np.empty(len(peaks), bool)
    for i in range(folds):
        held = fold == i
        alarm[held] = peaks[held] > recommended_threshold(peaks[~held], positive[~held])
    return (
        proportion(
            "Of the unstable trials, how many raise an alarm at a threshold chosen on other trials?",
            int(alarm[positive].sum()),
            int(positive.sum()),
            level,
        ),
        proportion(
            "Of the other trials, how many raise an alarm at a threshold chosen on other trials?",
            int(alarm[~positive].sum()),
            int((~positive).sum()),
            level,
        ),
    )


def _finite(peaks: np.ndarray) -> np.ndarray:
    """The peaks with infinite ones moved one step beyond the finite ones, because midpoints must be finite."""
    known = peaks[np.isfinite(peaks)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
    step = (high - low) or 1.0
    return np.clip(peaks, low - step, high + step)
