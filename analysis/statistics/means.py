"""Means and standard deviations over trials, and the comparison of two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from statistics import fmean, stdev


@dataclass(frozen=True)
class MeanStd:
    """The mean and the sample standard deviation over trials; the deviation of a single trial is None."""

    mean: float
    deviation: float | None
    trials: int

    @classmethod
    def of(cls, values: Sequence[float]) -> MeanStd:
        """The mean and deviation of one or more values."""
        return cls(fmean(values), stdev(values) if len(values) > 1 else None, len(values))

    def __str__(self) -> str:
        deviation = "" if self.deviation is None else f" ± {self.deviation:.4f}"
        return f"{self.mean:.4f}{deviation}"


@dataclass(frozen=True)
class MeanDifference:
    """The difference of two means."""

    difference: float
    low: float
    """Lower end of the interval of the difference."""
    high: float
    p_value: float
    """Two-sided p-value of the hypothesis that both means are equal."""


def welch(one: MeanStd, other: MeanStd, level: float = 0.95) -> MeanDifference:
    """Welch's (1947) unequal-variances t-test, with Satterthwaite's degrees of freedom, and its interval.

    It assumes roughly normal values. With two or three trials on a side it has little power, which the width of the
    interval shows.

    Raises:
        ValueError: a side has fewer than two trials, or neither varies.
    """
    if one.deviation is None or other.deviation is None:
        raise ValueError("a mean of one trial has no standard deviation and cannot be compared")
    errors = one.deviation / sqrt(one.trials), other.deviation / sqrt(other.trials)
    error = hypot(*errors)
    if error == 0:
        raise ValueError("neither side varies")
    # imported here, because scipy takes longer to import than a status takes to print
    from scipy.stats import t as student

    freedom = error**4 / (errors[0] ** 4 / (one.trials - 1) + errors[1] ** 4 / (other.trials - 1))
    difference = one.mean - other.mean
    half = float(student.ppf((1 + level) / 2, freedom)) * error
    p_value = 2 * float(student.sf(abs(difference) / error, freedom))
    return MeanDifference(difference, difference - half, difference + half, p_value)
