"""The probability that a positive subject has the higher score, judged within strata, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm
from scipy.stats import t as student

from analysis.statistics.intervals import Interval

Stratum = tuple[np.ndarray, np.ndarray]
"""The scores of the positive and of the negative subjects of one stratum, at least one of each."""


def auc_within(strata: Sequence[Stratum], level: float = 0.95) -> tuple[float, Interval]:
    """Share of the pairs of a positive and a negative subject of one stratum in which the positive one is higher.

    A tie counts half. A score that only tells strata apart has 0.5.

    The interval has the values that are at most as far from the estimate as their standard errors allow. The standard
    error is the larger one of two. Newcombe's (2006, *Confidence intervals for an effect size measure based on the
    Mann-Whitney statistic*, part 2, method 5) is that of exponential scores. Where scores separate fully, or at one
    subject in a stratum, it is not 0, as for Wilson's interval. DeLong's (1988) allows for positive subjects that vary
    more than negative ones; it is estimated, scaled with value * (1 - value), and used with Student's t, whose degrees
    of freedom are Satterthwaite's (1946) for the two kinds of subjects. All strata are taken to have one AUC.
    """
    sizes = [(len(positive), len(negative)) for positive, negative in strata]
    pairs = sum(n * m for n, m in sizes)
    below = [_below(positive, negative) for positive, negative in strata]
    above = [len(positive) - _below(negative, positive) for positive, negative in strata]
    auc = float(sum(count.sum() for count in below)) / pairs
    spreads = (
        _squares([count - auc * m for count, (_, m) in zip(below, sizes, strict=True)]),
        _squares([count - auc * n for count, (n, _) in zip(above, sizes, strict=True)]),
    )
    z, inside = float(norm.ppf((1 + level) / 2)), min(max(auc, 1e-9), 1 - 1e-9)
    # Student's quantile takes the place of the normal one that multiplies the error below
    heavier = (_student(level, spreads, (sum(n for n, _ in sizes), sum(m for _, m in sizes))) / z) ** 2
    found = heavier * sum(spreads) / max(auc * (1 - auc), 1e-9)

    def error(value: float) -> float:
        one = (1 - value) / (2 - value) + value / (1 + value)
        exponential = sum(n * m * (1 + ((n + m) / 2 - 1) * one) for n, m in sizes)
        return sqrt(value * (1 - value) * max(exponential, found)) / pairs

    def end(towards: float) -> float:
        if auc == towards:
            return towards
        return float(brentq(lambda value: abs(auc - value) - z * error(value), towards, inside))

    return auc, Interval(end(0.0), end(1.0), level, "score")


def adjusted_roc(strata: Sequence[Stratum]) -> tuple[np.ndarray, np.ndarray]:
    """False-alarm rates and hit rates within strata, whose area is `auc_within` (Janes and Pepe 2009).

    Each positive subject is placed among the negative ones of its stratum, and counts as often as there are such.
    """
    place = np.concatenate([1 - _below(positive, negative) / len(negative) for positive, negative in strata])
    weight = np.concatenate([np.full(len(positive), len(negative)) for positive, negative in strata])
    order = np.argsort(place, kind="stable")
    hits = np.cumsum(weight[order])
    return np.concatenate([[0.0], place[order], [1.0]]), np.concatenate([[0.0], hits / hits[-1], [1.0]])


def _below(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each score, the number of others below it; a tie counts half."""
    ordered = np.sort(others)
    found: np.ndarray = (np.searchsorted(ordered, scores) + np.searchsorted(ordered, scores, side="right")) / 2
    return found


def _student(level: float, spreads: tuple[float, float], sizes: tuple[int, int]) -> float:
    """Quantile of Student's t for the sum of two variances, each estimated from a number of subjects."""
    if not any(spreads):
        return float(norm.ppf((1 + level) / 2))
    squares = sum(spread**2 / max(size - 1, 1) for spread, size in zip(spreads, sizes, strict=True))
    return float(student.ppf((1 + level) / 2, sum(spreads) ** 2 / squares))


def _squares(residuals: Sequence[np.ndarray]) -> float:
    """Sum of squares over all strata, with the factor of Bessel's correction."""
    every = np.concatenate(residuals)
    return float((every**2).sum()) * len(every) / max(len(every) - 1, 1)
