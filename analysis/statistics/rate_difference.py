"""An interval for the difference of two independent rates."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.stats import qmc

from analysis.statistics.confidence_distribution import Count, confidence_draws

POINTS = qmc.Sobol(2, scramble=False).random(4096).T + 0.5 / 4096
"""Sobol points ``[2, 4096]``: each coordinate is an even grid, and together they fill the square evenly."""


# cells of a sweep have few distinct counts
@lru_cache(maxsize=4096)
def difference_ends(one: Count, other: Count, level: float = 0.95) -> tuple[float, float]:
    """Ends of the melded interval of the first rate minus the second, with n of both fixed in advance.

    It melds the Clopper-Pearson confidence distributions of both rates (Fay, Proschan and Brittain 2015). It excludes 0
    exactly where one of Fisher's one-sided tests rejects at (1 - level) / 2. It is conservative: `jobs/coverage.py`
    prints its exact coverage. The quantiles are taken over 4096 evenly spread points, with an error below 0.005.
    """
    tail = (1 - level) / 2
    low = confidence_draws(POINTS[0], *one, upper=False) - confidence_draws(POINTS[1], *other, upper=True)
    high = confidence_draws(POINTS[0], *one, upper=True) - confidence_draws(POINTS[1], *other, upper=False)
    return float(np.quantile(low, tail)), float(np.quantile(high, 1 - tail))
