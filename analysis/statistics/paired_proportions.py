"""The difference of two proportions that were measured on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist

from analysis.statistics.intervals import Interval


def paired_difference(first: Sequence[bool], second: Sequence[bool], level: float = 0.95) -> Interval:
    """Interval for the difference of the shares of true values, first minus second, of pairs.

    Wald's interval after half a pair is added to each of the four cells (Agresti and Min 2005, *Simple improved
    confidence intervals for comparing matched proportions*). Exact sums at 40 pairs: it covers 91 to 98 % at a nominal
    95 %, least where one attack never succeeds without the other.

    Raises:
        ValueError: the sequences have different lengths or are empty, or level is not in (0, 1).
    """
    if not first or not 0 < level < 1:
        raise ValueError(f"{len(first)} pairs at level {level}: needs at least one pair and a level between 0 and 1")
    pairs = list(zip(first, second, strict=True))
    only_first = 0.5 + sum(a and not b for a, b in pairs)
    only_second = 0.5 + sum(b and not a for a, b in pairs)
    n = len(pairs) + 2
    difference = (only_first - only_second) / n
    deviation = sqrt(only_first + only_second - (only_first - only_second) ** 2 / n) / n
    margin = NormalDist().inv_cdf((1 + level) / 2) * deviation
    return Interval(max(-1.0, difference - margin), min(1.0, difference + margin), level, "agresti-min")
