"""Further detectors besides the FOSC threshold. In all, a metric that is not finite gives an infinite score."""

from __future__ import annotations

from math import inf
from typing import Literal

import numpy as np

from core.verdict.detector import ScoredDetector, finite_or


class OfOneMetric(ScoredDetector):
    """A detector whose score depends on one metric, which its maker chooses."""

    def __init__(self, metric: str, *, threshold: float, patience: int = 1, grace: int = 0) -> None:
        super().__init__(threshold=threshold, patience=patience, grace=grace)
        self.metric = metric

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.metric,)


class Level(OfOneMetric):
    """The score is a metric itself."""

    def scores(self, *columns: np.ndarray) -> np.ndarray:
        return finite_or(inf, columns[0])


class OneStepGap(ScoredDetector):
    """The score is FGSM accuracy minus PGD accuracy, a gap that catastrophic overfitting opens."""

    metrics = ("val/fgsm_acc", "val/pgd10_acc")

    def scores(self, *columns: np.ndarray) -> np.ndarray:
        fgsm, pgd = columns
        return finite_or(inf, fgsm) - finite_or(0.0, pgd)


class FromMedian(OfOneMetric):
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
        super().__init__(metric, threshold=threshold, patience=patience, grace=grace)
        self.mode = mode

    def scores(self, *columns: np.ndarray) -> np.ndarray:
        values = finite_or(inf, columns[0])
        middle = _earlier_medians(values)
        # a value that is not finite gets its score in the last line
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.mode == "ratio":
                found = np.where(middle > 0, values / middle, 1.0)
            else:
                found = values - middle if self.mode == "rise" else middle - values
        return np.where(np.isinf(values), inf, found)


def _earlier_medians(values: np.ndarray) -> np.ndarray:
    """For each value of ``[trials, epochs]`` the median of the finite ones before it; the value where there are none.

    Infinite values are positive.
    """
    trials, epochs = values.shape
    medians, number, every = np.empty_like(values), np.zeros(trials, int), np.arange(trials)
    # the finite earlier values of each trial in order, between sentinels
    past = np.full((trials, epochs + 2), inf)
    past[:, 0] = -inf
    for epoch, value in enumerate(values.T):
        middle = (past[every, np.maximum((number + 1) // 2, 1)] + past[every, number // 2 + 1]) / 2
        medians[:, epoch] = np.where(number > 0, middle, value)
        past[:, 1 : epoch + 2] = np.minimum(past[:, 1 : epoch + 2], np.maximum(past[:, : epoch + 1], value[:, None]))
        number += np.isfinite(value)
    return medians


class Cusum(OfOneMetric):
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
        super().__init__(metric, threshold=threshold, patience=patience, grace=grace)
        self.sign = sign
        self.baseline = baseline
        self.drift = drift

    def scores(self, *columns: np.ndarray) -> np.ndarray:
        values = finite_or(inf, columns[0])
        trials = len(values)
        first, number = np.zeros((trials, self.baseline)), np.zeros(trials, int)
        centre, scale, total = np.zeros(trials), np.ones(trials), np.zeros(trials)
        found = np.empty_like(values)
        for epoch, value in enumerate(values.T):
            finite = np.isfinite(value)
            counted = finite & (number == self.baseline)
            excess = self.sign * (value[counted] - centre[counted]) / scale[counted]
            total[counted] = np.maximum(0.0, total[counted] + excess - self.drift)
            found[:, epoch] = np.where(finite, total, inf)
            new = finite & (number < self.baseline)
            first[new, number[new]] = value[new]
            number += new
            full = new & (number == self.baseline)
            centre[full] = first[full].mean(axis=1)
            # with a nearly constant baseline, the floor keeps small changes from raising the alarm
            floor = np.maximum(0.05 * np.abs(centre[full]), 1e-6)
            scale[full] = np.maximum(first[full].std(axis=1, ddof=1), floor)
        return found
