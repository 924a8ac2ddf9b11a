"""The scores of a detector over stored traces, as it would have computed them during training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from core.records import TrialRecord
from core.verdict import ScoredDetector


@dataclass(frozen=True)
class Replay:
    """The scores of one detector over one trial."""

    cell_id: str
    epochs: np.ndarray
    """Epochs at which an alarm could start."""
    scores: np.ndarray
    """Minimum of `patience` scores in a row. The alarm starts at the first epoch where it is above the threshold."""

    @cached_property
    def peak(self) -> float:
        """Largest score: the detector raises an alarm in this trial if its threshold is below it."""
        return float(self.scores.max(initial=-np.inf))

    def alarm_epoch(self, threshold: float) -> int | None:
        """First epoch at whose end the alarm would have been on; None if it would never have been."""
        above = np.flatnonzero(self.scores > threshold)
        return int(self.epochs[above[0]]) if len(above) else None


def replayable(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The uncensored finished trials that have a trace."""
    return [r for r in records if r.verdict and r.verdict.outcome != "censored" and len(r.trace)]


BLOCK = 256
"""Largest number of trials whose scores are computed at once; the numbers of more leave the processor's cache."""


class Traces:
    """The traces of `replayable` trials as matrices, each of trials that were measured at the same epochs."""

    def __init__(self, trials: Sequence[TrialRecord]) -> None:
        self.trials = trials
        self.epochs = sum(len(trial.trace) for trial in trials)
        groups: dict[bytes, list[int]] = {}
        for number, trial in enumerate(trials):
            groups.setdefault(trial.trace.column("epoch").tobytes(), []).append(number)
        self.groups = [
            (np.frombuffer(epochs).astype(int), members[start : start + BLOCK])
            for epochs, members in groups.items()
            for start in range(0, len(members), BLOCK)
        ]
        # successive detectors read the same metrics, and the metrics of all would take the memory of the traces again
        self._matrices = lru_cache(maxsize=2)(self._read)

    def measured(self, metric: str) -> int:
        """Number of epochs of all trials that have the metric."""
        return sum(trial.trace.measured(metric) for trial in self.trials)

    def matrices(self, metric: str) -> list[np.ndarray]:
        """For each group the metric's values, ``[trials, epochs]``, NaN if not finite.

        Raises:
            KeyError: an epoch of a trace lacks the metric.
        """
        return self._matrices(metric)

    def _read(self, metric: str) -> list[np.ndarray]:
        if self.measured(metric) < self.epochs:
            raise KeyError(metric)
        return [np.stack([self.trials[n].trace.column(metric) for n in members]) for _, members in self.groups]


def replay(traces: Traces, detector: ScoredDetector) -> list[Replay]:
    """A new detector over each of the trials.

    Raises:
        KeyError: an epoch of a trace lacks a metric that the detector reads.
    """
    found: dict[int, Replay] = {}
    columns = zip(*(traces.matrices(metric) for metric in detector.metrics), strict=True)
    for (epochs, members), values in zip(traces.groups, columns, strict=True):
        counted = epochs > detector.grace
        epochs, scores = lasting(epochs[counted], detector.scores(*values)[:, counted], detector.patience)
        for number, row in zip(members, scores, strict=True):
            found[number] = Replay(traces.trials[number].cell_id, epochs, row)
    return [found[number] for number in range(len(traces.trials))]


def lasting(epochs: np.ndarray, scores: np.ndarray, patience: int) -> tuple[np.ndarray, np.ndarray]:
    """The minimum of `patience` scores in a row, ``[..., epochs]``, with the last of their epochs."""
    if len(epochs) < patience:
        return epochs[:0], scores[..., :0]
    return epochs[patience - 1 :], sliding_window_view(scores, patience, axis=-1).min(axis=-1)
