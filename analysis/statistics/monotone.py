"""Intervals for rates that are assumed to fall along a sequence of cells, whose trials then tell of each other."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.statistics.intervals import clopper_pearson

Count = tuple[int, int]
"""k of n."""


def falling_ends(counts: Sequence[Count], level: float = 0.95) -> list[tuple[float, float]]:
    """Ends of an interval for each rate, if no rate is larger than the one before it.

    The trials of a cell and of the cells after it have at most the cell's rate, and their number of yes is at least as
    small as that of equal trials. Clopper and Pearson's lower end for both together is therefore one for the cell;
    likewise the upper end from the cells before it. Half of the error of each side is for the cell alone, the rest is
    shared by the pools with one, two, ... neighbours (Bonferroni). If the order is wrong, the intervals cover less.

    Args:
        counts: the cells in their order, with numbers of trials that were fixed in advance.
        level: coverage of each interval, in (0, 1).
    """
    return [
        (_lower_end(counts[i:], level), 1 - _lower_end([(n - k, n) for k, n in counts[i::-1]], level))
        for i in range(len(counts))
    ]


def _lower_end(counts: Sequence[Count], level: float) -> float:
    """Lower end for the first rate of a falling sequence, with half of the interval's error."""
    others = len(counts) - 1
    found, k, n = [], 0, 0
    for number, (hits, trials) in enumerate(counts):
        k, n = k + hits, n + trials
        share = 1.0 if not others else 0.5 if number == 0 else 0.5 / others
        found.append(clopper_pearson(k, n, 1 - (1 - level) * share).low)
    return max(found)
