"""An interval for a rate that is a function of several conditional rates, each estimated from its own trials."""

from __future__ import annotations

from functools import cache

import numpy as np

from analysis.statistics.confidence_distribution import Count, confidence_draws
from analysis.statistics.intervals import Interval, confidence_sequence


@cache
def sobol_points() -> np.ndarray:
    """Sobol points ``[3, 4096]``: each coordinate is an even grid, and together they fill the cube evenly."""
    # imported here, because scipy takes longer to import than a status takes to print
    from scipy.stats import qmc

    return qmc.Sobol(3, scramble=False).random(4096).T + 0.5 / 4096


def melded_product(ever: Count, stoppable: Count, fine: Count, level: float) -> Interval:
    """Interval for u (1 - v c), where u, v and c are rates observed as k of n with n fixed in advance.

    Melds the Clopper-Pearson confidence distributions of the three rates (Fay, Proschan and Brittain 2015, *Combining
    one-sample confidence procedures for inference in the two-sample case*): the lower end is the (1 - level) / 2
    quantile of the product of draws from u's lower and v's and c's upper distribution, the upper end mirrors it. Each
    count may depend on the outcome of the one before (v's trials are u's successes, c's are some of v's).

    The quantile is taken over 4096 fixed, evenly spread points; the result is deterministic, with an error below 0.005.
    """
    tail = (1 - level) / 2
    low = _product(ever, stoppable, fine, upper=False)
    high = _product(ever, stoppable, fine, upper=True)
    return Interval(float(np.quantile(low, tail)), float(np.quantile(high, 1 - tail)), level, "melded")


def anytime_product(ever: Count, stoppable: Count, fine: Count, level: float) -> Interval:
    """Interval for u (1 - v c) that holds at all looks together: the corners of three confidence sequences.

    Each sequence gets a third of the error (Bonferroni), which makes the interval wide.
    """
    each = 1 - (1 - level) / 3
    u, v, c = (confidence_sequence(*count, level=each) for count in (ever, stoppable, fine))
    return Interval(u.low * (1 - v.high * c.high), u.high * (1 - v.low * c.low), level, "anytime")


def _product(ever: Count, stoppable: Count, fine: Count, *, upper: bool) -> np.ndarray:
    first, second, third = sobol_points()
    u = confidence_draws(first, *ever, upper=upper)
    v = confidence_draws(second, *stoppable, upper=not upper)
    c = confidence_draws(third, *fine, upper=not upper)
    return u * (1 - v * c)
