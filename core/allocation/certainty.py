"""How far a cell is from its goal, from its counts alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import inf

from core.allocation.goal import AllocationGoal

IntervalOf = Callable[[int, int], tuple[float, float]]
"""(unstable, finished) -> (low, high). Must cover at all looks together: the allocator looks after every trial."""

FARTHEST_PROJECTION = 4096


class Certainty:
    """A goal together with the interval that measures it. Remembers what it computed; share one among allocators."""

    def __init__(self, goal: AllocationGoal, interval: IntervalOf) -> None:
        self.goal = goal
        self._uncached = interval
        self.interval = cache(interval)
        self.reached = cache(self._reached)
        self.priority = cache(self._priority)

    def __reduce__(self) -> tuple[type[Certainty], tuple[AllocationGoal, IntervalOf]]:
        # Tune pickles its searcher, and caches can't be pickled
        return Certainty, (self.goal, self._uncached)

    def width(self, unstable: int, finished: int) -> float:
        """Upper minus lower end of the interval."""
        low, high = self.interval(unstable, finished)
        return high - low

    def decided(self, unstable: int, finished: int) -> bool:
        """Is `until_decided` outside the interval?"""
        assert self.goal.until_decided is not None
        low, high = self.interval(unstable, finished)
        return not low <= self.goal.until_decided <= high

    def _reached(self, unstable: int, finished: int) -> bool:
        """Does a cell with these counts need no more seeds? Never, if the goal is only a budget."""
        goal = self.goal
        narrow = goal.until_width is not None and self.width(unstable, finished) <= goal.until_width
        return narrow or (goal.until_decided is not None and self.decided(unstable, finished))

    def _priority(self, unstable: int, finished: int) -> float:
        """The cell with the largest value needs the next seed most.

        Where widths are asked for, or only a budget given, that is the cell with the widest interval, which makes the
        worst-known cell as well known as the budget allows. Where decisions alone are asked for, it is the cell whose
        decision is fewest trials away if it goes on as it began: the most decisions for a budget, and the one cell
        whose rate sits at `until_decided` can't swallow it all.
        """
        if self.goal.until_decided is not None and self.goal.until_width is None:
            return -self._trials_to_decision(unstable, finished)
        return self.width(unstable, finished)

    def _trials_to_decision(self, unstable: int, finished: int) -> float:
        rate = plausible_rate(unstable, finished)

        def decided_after(more: int) -> bool:
            return self.decided(unstable + round(more * rate), finished + more)

        enough = 1
        while not decided_after(enough):
            enough *= 2
            if enough > FARTHEST_PROJECTION:
                return inf
        too_few = enough // 2
        while enough - too_few > 1:
            middle = (enough + too_few) // 2
            too_few, enough = (too_few, middle) if decided_after(middle) else (middle, enough)
        return enough


def plausible_rate(unstable: int, finished: int) -> float:
    """Posterior mean of the rate under Jeffreys' prior: 1/2 without data, never exactly 0 or 1."""
    return (unstable + 0.5) / (finished + 1)
