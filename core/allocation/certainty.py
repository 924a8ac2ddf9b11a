"""The distance of a cell from its goal, computed from its counts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import inf

from core.allocation.goal import AllocationGoal
from core.allocation.sequential_design import sequential_design

IntervalOf = Callable[[int, int], tuple[float, float]]
"""(unstable, finished) -> (low, high). Intervals must cover simultaneously, because the allocator looks at each result.
"""

MAX_FURTHER_TRIALS = 4096
"""Number of further trials above which the number of trials to a decision counts as infinite."""


class Certainty:
    """A goal, and what measures it. Results are cached; several allocators may share one object.

    Attributes:
        design: the sequential design by which cells end; None if they end by the anytime `interval`.
    """

    def __init__(self, goal: AllocationGoal, interval: IntervalOf) -> None:
        self.goal = goal
        self._uncached = interval
        self.design = sequential_design(goal)
        self.interval = cache(interval)
        self.reached = cache(self._reached)
        self.priority = cache(self._priority)

    def __reduce__(self) -> tuple[type[Certainty], tuple[AllocationGoal, IntervalOf]]:
        # Tune pickles its searcher, and caches cannot be pickled
        return Certainty, (self.goal, self._uncached)

    def width(self, unstable: int, finished: int) -> float:
        """Upper minus lower end of the interval."""
        low, high = self.interval(unstable, finished)
        return high - low

    def decided(self, unstable: int, finished: int) -> bool:
        """True if `until_decided` is outside the interval."""
        assert self.goal.until_decided is not None
        low, high = self.interval(unstable, finished)
        return not low <= self.goal.until_decided <= high

    def _reached(self, unstable: int, finished: int) -> bool:
        """True if a cell with these counts needs no more seeds; always False if the goal is only a budget."""
        goal = self.goal
        if self.design is not None:
            return self.design.reached(unstable, finished)
        narrow = goal.until_width is not None and self.width(unstable, finished) <= goal.until_width
        return narrow or (goal.until_decided is not None and self.decided(unstable, finished))

    def _priority(self, unstable: int, finished: int) -> float:
        """The need of a cell for the next seed; the cell with the largest value gets it.

        If the goal has a width, or is only a budget, the value is the width of the interval. This makes the largest
        width as small as the budget allows. If the goal is only a decision, the value is minus the number of trials to
        the decision at the cell's rate so far. This makes the number of decided cells as large as the budget allows,
        and a cell whose rate is close to `until_decided` cannot consume the whole budget.
        """
        if self.goal.until_decided is not None and self.goal.until_width is None:
            return -self._trials_to_decision(unstable, finished)
        return self.width(unstable, finished)

    def _trials_to_decision(self, unstable: int, finished: int) -> float:
        rate = plausible_rate(unstable, finished)

        def decided_after(more: int) -> bool:
            return self.reached(unstable + round(more * rate), finished + more)

        enough = 1
        while not decided_after(enough):
            enough *= 2
            if enough > MAX_FURTHER_TRIALS:
                return inf
        too_few = enough // 2
        while enough - too_few > 1:
            middle = (enough + too_few) // 2
            too_few, enough = (too_few, middle) if decided_after(middle) else (middle, enough)
        return enough


def plausible_rate(unstable: int, finished: int) -> float:
    """Posterior mean of the rate under Jeffreys' prior, in (0, 1); it is 1/2 without data."""
    return (unstable + 0.5) / (finished + 1)
