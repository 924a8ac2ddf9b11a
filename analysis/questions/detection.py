"""The quality of all detectors, from a replay over stored traces without any new training.

The ground truth is the confirmed label: overestimation or catastrophic overfitting, found by the verdict attacks on an
alarm or at the end. A replay has two limits. During training, a trial was attacked only on an alarm of the protocol's
own detector; an instability that healed without an alarm therefore counts as none. The trace of a stopped trial ends
at the stop; a slower detector therefore cannot find it. Audited trials and `--no-stop` sweeps lack the second limit.

A detector is judged by trials of the same cell. Cells differ in many metrics, and a detector that only recognises an
unstable cell would otherwise look good. Cells whose trials are all of one kind do not enter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import NamedTuple

import numpy as np

from analysis.questions.failures import Failure, failure_onset, has_failure
from analysis.questions.replay import Replay, Traces, replay, replayable
from analysis.statistics.auc import adjusted_roc, auc_within
from analysis.statistics.intervals import Interval, Proportion, proportion
from core.records import TrialRecord
from core.verdict import DETECTORS


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


class Judged(NamedTuple):
    """The detectors, judged on one kind of failure."""

    qualities: list[DetectorQuality]
    """In descending order of AUC."""
    skipped: dict[str, str]
    """The reason why a detector has no quality, by the detector's title."""


def judge_detectors(
    records: Sequence[TrialRecord],
    patience: int,
    grace: int,
    level: float = 0.95,
    failures: Sequence[Failure] = ("any",),
) -> dict[Failure, Judged]:
    """The quality of all detectors of `core.verdict.DETECTORS` on each of some failures.

    A trial enters if it is known to have the failure or not.
    """
    trials = replayable(records)
    traces = Traces(trials)
    # a stopped trial has no end: whether it would have overfitted is not known
    known = {failure: [has_failure(record, failure) for record in trials] for failure in failures}
    onsets = {
        failure: [failure_onset(record, failure) if kind else None for record, kind in zip(trials, kinds, strict=True)]
        for failure, kinds in known.items()
    }
    judged = {failure: Judged([], {}) for failure in failures}
    for title, make in ((spec.title, spec.make) for spec in DETECTORS.values()):
        try:
            # a replay reads scores, which do not depend on the threshold
            replays = replay(traces, make(threshold=0, patience=patience, grace=grace))
        except KeyError as missing:
            for found in judged.values():
                found.skipped[title] = _incomplete(traces, missing.args[0])
            continue
        for failure, found in judged.items():
            entering = [number for number, kind in enumerate(known[failure]) if kind is not None]
            kinds = [bool(known[failure][number]) for number in entering]
            begun = [onsets[failure][number] for number in entering]
            try:
                quality = detector_quality(title, [replays[number] for number in entering], kinds, begun, level)
                found.qualities.append(quality)
            except ValueError as error:
                found.skipped[title] = str(error)
    for found in judged.values():
        found.qualities.sort(key=lambda quality: -quality.auc)
    return judged


def _incomplete(traces: Traces, metric: str) -> str:
    """A sentence that says how many epochs of the traces lack the metric."""
    measured = traces.measured(metric)
    if not measured:
        return f"the traces have no {metric}"
    return f"{metric} was measured in {measured} of {traces.epochs} epochs, and a detector needs every epoch"


def detector_quality(
    name: str,
    replays: Sequence[Replay],
    kinds: Sequence[bool],
    onsets: Sequence[int | None] | None = None,
    level: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> DetectorQuality:
    """The quality of one detector from its replays.

    Args:
        name: name of the detector.
        replays: one replay for each trial.
        kinds: for each trial, whether it is a positive one.
        onsets: for each trial, the epoch at which its failure begins; None where it is unknown.
        level: coverage of the intervals.
        resamples: number of bootstrap samples.
        seed: seed of the bootstrap and of the folds.

    Raises:
        ValueError: no cell has a positive and a negative trial.
    """
    found: dict[str, set[bool]] = {}
    for one, kind in zip(replays, kinds, strict=True):
        found.setdefault(one.cell_id, set()).add(kind)
    both = [len(found[one.cell_id]) > 1 for one in replays]
    judged = list(compress(replays, both))
    if not judged:
        raise ValueError(f"{sum(kinds)} of {len(kinds)} trials have the failure, and no cell has both kinds of trials")
    positive = np.array(kinds, bool)[both]
    peaks = _finite(np.array([one.peak for one in judged]))
    cell = np.unique([one.cell_id for one in judged], return_inverse=True)[1]
    members = [np.flatnonzero(cell == number) for number in range(cell.max() + 1)]
    strata = [(peaks[trials][positive[trials]], peaks[trials][~positive[trials]]) for trials in members]
    auc, auc_interval = auc_within(strata, level)
    false_alarms, hits = adjusted_roc(strata)
    rng = np.random.default_rng(seed)
    threshold = recommended_threshold(peaks, positive)
    low, high = np.quantile(
        _bootstrap_thresholds(peaks, positive, members, resamples, rng), [(1 - level) / 2, (1 + level) / 2]
    )
    begun = zip(compress(onsets or [None] * len(replays), both), judged, strict=True)
    known = [(one, onset) for onset, one in begun if onset is not None]
    leads = [onset - alarm for one, onset in known if (alarm := one.alarm_epoch(threshold)) is not None]
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
    return _best_threshold(values, np.bincount(where, positive), np.bincount(where, ~positive))


def _bootstrap_thresholds(
    peaks: np.ndarray, positive: np.ndarray, members: Sequence[np.ndarray], resamples: int, rng: np.random.Generator
) -> list[float]:
    """The recommended thresholds of bootstrap samples, drawn within cells, that have trials of both kinds."""
    values, where = np.unique(peaks, return_inverse=True)
    found = []
    for _ in range(resamples):
        kept = np.concatenate([trials[rng.integers(len(trials), size=len(trials))] for trials in members])
        hits = np.bincount(where[kept], positive[kept], len(values))
        others = np.bincount(where[kept], ~positive[kept], len(values))
        if hits.any() and others.any():
            there = hits + others > 0
            found.append(_best_threshold(values[there], hits[there], others[there]))
    return found


def _best_threshold(values: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> float:
    """The `recommended_threshold` from the numbers of trials of both kinds at each of the rising values of the peak."""
    # entry i: a threshold between values[i - 1] and values[i]; at 0 every trial alarms
    gain = (positive / positive.sum() - negative / negative.sum())[::-1].cumsum()[::-1]
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
