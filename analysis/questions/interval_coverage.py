"""The exact coverage of intervals for rates: sums over all results of a design, at every rate of a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.statistics.intervals import IntervalKind, interval
from core.allocation.lattice import Ends, exact_intervals

RATES = np.arange(1, 4000) / 4000
BESIDE = 1e-9
"""Coverage is lowest directly beside an end of an interval: both sides of each end are looked at, this far from it."""


@dataclass(frozen=True)
class Coverage:
    """How often the intervals of a design contain the true rate."""

    lowest: float
    """Smallest probability over all rates."""
    at: float
    """A rate with this probability."""
    mean: float
    """Mean over rates, all equally likely."""
    width: float
    """Mean width over rates, all equally likely."""


def fixed_coverage(kind: IntervalKind, n: int, level: float = 0.95) -> Coverage:
    """Coverage of the interval of a fixed number of trials."""
    k = np.arange(n + 1)
    # imported here, because scipy takes longer to import than a status takes to print
    from scipy.special import gammaln

    log_paths = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    found = [interval(kind, int(hits), n, level) for hits in k]
    return _coverage(Ends(k, np.full(n + 1, n), log_paths), np.array([(one.low, one.high) for one in found]))


def sequential_coverage(ends: Ends, level: float = 0.95) -> Coverage:
    """Coverage of the exact intervals of a sequential design."""
    return _coverage(ends, exact_intervals(ends, level))


def _coverage(ends: Ends, intervals: np.ndarray) -> Coverage:
    beside = np.concatenate([intervals.ravel() - BESIDE, intervals.ravel() + BESIDE])
    rates = np.concatenate([RATES, beside[(beside > 0) & (beside < 1)]])
    p = np.exp(ends.log_probability(rates))
    covers = (intervals[:, :1] <= rates) & (rates <= intervals[:, 1:])
    covered = (p * covers).sum(axis=0)
    worst = int(covered.argmin())
    widths = np.ptp(intervals, axis=1) @ p[:, : len(RATES)]
    return Coverage(
        float(covered[worst]), float(rates[worst]), float(covered[: len(RATES)].mean()), float(widths.mean())
    )
