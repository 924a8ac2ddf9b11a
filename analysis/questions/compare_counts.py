"""Tests whether two counts come from one rate, or from rates that differ by less than a margin."""

from __future__ import annotations

from functools import lru_cache

from analysis.questions.effects import exact_test
from analysis.statistics.rate_difference import difference_ends

Count = tuple[int, int]
"""k of n."""
RATE_MARGIN = 0.3
"""Largest difference of two rates that counts as the same; with the paper's 10 seeds, less cannot be shown."""

TOO_FEW_SEEDS = "whatever these trials had given, neither a difference nor equivalence could have been found"
"""The meaning of the conclusion of two counts for which `can_conclude` is False."""


def different(one: Count, other: Count, level: float) -> bool:
    """Whether `exact_test` finds at 1 - level that the rates differ."""
    return exact_test(one, other) < 1 - level


def equivalent(one: Count, other: Count, level: float) -> bool:
    """Whether two one-sided tests at 1 - level find that the rates differ by less than `RATE_MARGIN`.

    This is the case if the interval of the difference at 1 - 2 (1 - level) lies within the margin.
    """
    low, high = difference_ends(one, other, 2 * level - 1)
    return low > -RATE_MARGIN and high < RATE_MARGIN


@lru_cache(maxsize=512)
def can_conclude(n: int, other: Count, level: float) -> bool:
    """Whether any count of n trials would find a difference from `other`, or equivalence."""
    # the extreme counts differ most, and the nearest ones least
    near = round(n * other[0] / other[1])
    if different((0, n), other, level) or different((n, n), other, level):
        return True
    return any(equivalent((k, n), other, level) for k in range(max(near - 1, 0), min(near + 1, n) + 1))
