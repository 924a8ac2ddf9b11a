"""Detectors of instability. The same code stops running trials and is replayed on stored traces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import inf, isnan
from typing import Any

import numpy as np

from core.records import Row


class Detector(ABC):
    """An alarm that reads a trace row by row: on after `patience` suspicious epochs in a row, off at a clean one.

    Args:
        patience: consecutive suspicious epochs that make an onset.
        grace: number of first epochs that never count as suspicious.

    Attributes:
        onset_epochs: for every onset, the first epoch of the run of suspicious epochs that caused it.
        recovery_epochs: for every recovery, the first epoch that was no longer suspicious.
    """

    def __init__(self, *, patience: int, grace: int) -> None:
        self.patience = patience
        self.grace = grace
        self.onset_epochs: list[int] = []
        self.recovery_epochs: list[int] = []
        self._suspicious_since: int | None = None
        self._run_length = 0

    @abstractmethod
    def suspicious(self, row: Row) -> bool:
        """True if this epoch, taken alone, looks masked. Called once per epoch, in order."""

    @property
    def active(self) -> bool:
        """True if the alarm is on after the last epoch."""
        return len(self.onset_epochs) > len(self.recovery_epochs)

    def update(self, epoch: int, row: Row) -> bool:
        """Process the row of a 1-based epoch and return whether the alarm is on."""
        if self.suspicious(row) and epoch > self.grace:
            if self._suspicious_since is None:
                self._suspicious_since = epoch
            self._run_length += 1
            if self._run_length >= self.patience and not self.active:
                self.onset_epochs.append(self._suspicious_since)
        else:
            if self.active:
                self.recovery_epochs.append(epoch)
            self._suspicious_since = None
            self._run_length = 0
        return self.active

    def state_dict(self) -> dict[str, Any]:
        """The state from which `load_state_dict` continues exactly, in JSON types."""
        return {name: value for name, value in vars(self).items() if name not in ("patience", "grace")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        for name, value in state.items():
            setattr(self, name, list(value) if isinstance(value, list) else value)


class ScoredDetector(Detector):
    """A detector that is suspicious of an epoch if its score is above `threshold`.

    The score does not depend on the threshold, which allows judging all thresholds in one replay.

    Args:
        threshold: score above which an epoch is suspicious.
        patience: consecutive suspicious epochs that make an onset.
        grace: number of first epochs that never count as suspicious.
    """

    def __init__(self, *, threshold: float, patience: int = 1, grace: int = 0) -> None:
        super().__init__(patience=patience, grace=grace)
        self.threshold = threshold
        self._values: list[list[float | None]] = []

    @property
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """The metrics of a row that the score depends on."""

    @abstractmethod
    def scores(self, *columns: np.ndarray) -> np.ndarray:
        """The scores of all epochs of some trials, ``[trials, epochs]``; a score may depend on earlier epochs.

        Args:
            columns: for each of `metrics` its values ``[trials, epochs]`` from the first epoch on, NaN if not finite.
        """

    def score(self, row: Row) -> float:
        """Score of this epoch, given the rows of all earlier calls. Called once per epoch, in order.

        Raises:
            KeyError: the row lacks a metric that the score depends on.
        """
        values = [row[name] for name in self.metrics]
        self._values.append([None if value is None or isnan(value) else value for value in values])
        columns = np.array(self._values, float).T
        return float(self.scores(*columns[:, None])[0, -1])

    def suspicious(self, row: Row) -> bool:
        return self.score(row) > self.threshold


class FoscDetector(ScoredDetector):
    """A detector whose score is FOSC; FOSC that is not finite counts as infinite."""

    metrics = ("val/fosc",)

    def scores(self, *columns: np.ndarray) -> np.ndarray:
        return finite_or(inf, columns[0])


def finite_or(otherwise: float, values: np.ndarray) -> np.ndarray:
    """The values, with `otherwise` for NaN, which stands for values that are not finite."""
    return np.where(np.isnan(values), otherwise, values)
