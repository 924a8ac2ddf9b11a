"""Further detectors besides the FOSC threshold. In all, a metric that is not finite gives an infinite score."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from math import inf
from operator import sub
from statistics import mean, stdev
from typing import Literal

from core.verdict.detector import ScoredDetector, finite_or


class Level(ScoredDetector):
    """The score is a metric itself."""

    def __init__(self, metric: str, *, threshold: float, patience: int = 1, grace: int = 0) -> None:
        super().__init__(threshold=threshold, patience=patience, grace=grace)
        self.metric = metric

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)

    def next_scores(self, *columns: Sequence[float]) -> list[float]:
        return finite_or(inf, columns[0])


class OneStepGap(ScoredDetector):
    """The score is FGSM accuracy minus PGD accuracy, a gap that catastrophic overfitting opens."""

    metrics = ("val/fgsm_acc", "val/pgd10_acc")

    def next_scores(self, *columns: Sequence[float]) -> list[float]:
        fgsm, pgd = columns
        return list(map(sub, finite_or(inf, fgsm), finite_or(0.0, pgd)))


class FromMedian(ScoredDetector):
    """The score is a metric's distance from the median of its earlier epochs; at the first epoch 0, or 1 for `ratio`.

    `rise` is value - median, `drop` is median - value, `ratio` is value / median. The median is over all earlier
    epochs, so that a long masked phase does not quickly become the norm.
    """

    def __init__(
        self,
        metric: str,
        mode: Literal["rise", "drop", "ratio"],
        *,
        threshold: float,
        patience: int = 1,
        grace: int = 0,
    ) -> None:
        super().__init__(threshold=threshold, patience=patience, grace=grace)
        self.metric = metric
        self.mode = mode
        self._sorted: list[float] = []

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)

    def next_scores(self, *columns: Sequence[float]) -> list[float]:
        past, mode, found = self._sorted, self.mode, []
        for value in finite_or(inf, columns[0]):
            if value == inf:
                found.append(inf)
                continue
            middle = (past[(len(past) - 1) // 2] + past[len(past) // 2]) / 2 if past else value
            insort(past, value)
            if mode == "rise":
                found.append(value - middle)
            elif mode == "drop":
                found.append(middle - value)
            else:
                found.append(value / middle if middle > 0 else 1.0)
        return found


class Cusum(ScoredDetector):
    """The score is Page's (1954) cumulative sum of a metric's standardised excess over its first `baseline` epochs.

    S = max(0, S + sign * (value - mean) / sd - drift): small lasting shifts add up, and noise does not. S is 0 during
    the baseline. A large S stays above the threshold for some epochs after the shift that caused it has ended.
    """

    def __init__(
        self,
        metric: str,
        sign: Literal[1, -1] = 1,
        *,
        baseline: int = 5,
        drift: float = 0.5,
        threshold: float,
        patience: int = 1,
        grace: int = 0,
    ) -> None:
        super().__init__(threshold=threshold, patience=patience, grace=grace)
        self.metric = metric
        self.sign = sign
        self.baseline = baseline
        self.drift = drift
        self._first: list[float] = []
        self._mean = 0.0
        self._scale = 1.0
        self._sum = 0.0

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)

    def next_scores(self, *columns: Sequence[float]) -> list[float]:
        return [self._next(value) for value in finite_or(inf, columns[0])]

    def _next(self, value: float) -> float:
        if value == inf:
            return inf
        if len(self._first) < self.baseline:
            self._first.append(value)
            if len(self._first) == self.baseline:
                self._mean = mean(self._first)
                # With a nearly constant baseline, the floor keeps small changes from raising the alarm.
                self._scale = max(stdev(self._first), 0.05 * abs(self._mean), 1e-6)
            return 0.0
        self._sum = max(0.0, self._sum + self.sign * (value - self._mean) / self._scale - self.drift)
        return self._sum
