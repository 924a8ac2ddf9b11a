"""The rule by which an adaptive sweep ends a cell, and the exact intervals that hold for the counts at this end.

The trials of a cell in the order of their seeds are a path on the lattice of counts. The design ends at the first count
of this path that is in a set, whatever was allocated, stopped or looked at before. Results behind this count are left
out. For this reason its error probabilities are those of the lattice, which are computed exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Literal

from core.allocation.decision_design import decision_stops
from core.allocation.goal import AllocationGoal
from core.allocation.lattice import Ends, Stops, ends_of, exact_intervals
from core.allocation.width_design import NARROWEST_WIDTH, width_stops

CONFIDENCE_LEVEL = 0.95
"""Level of the intervals that `until_width` asks for."""


@dataclass(frozen=True, eq=False)
class SequentialDesign:
    """The counts at which a cell ends.

    Attributes:
        stops: for each n, the counts k at which the design stops.
        last: number of trials after which every path has ended.
        neutral: rate between the two answers of a decision; None without one.
    """

    stops: Stops
    last: int
    neutral: float | None = None

    def reached(self, unstable: int, finished: int) -> bool:
        """Whether the design stops at these counts."""
        return finished >= self.last or (finished > 0 and bool(self._stops_at(finished)[unstable]))

    def end(self, outcomes: Iterable[bool]) -> tuple[int, int] | None:
        """(unstable, finished) where a sequence of outcomes ends; None if it goes on."""
        unstable = 0
        for finished, outcome in enumerate(outcomes, start=1):
            unstable += outcome
            if self.reached(unstable, finished):
                return unstable, finished
        return None

    def interval(self, unstable: int, finished: int, level: float = CONFIDENCE_LEVEL) -> tuple[float, float]:
        """The exact interval of an end.

        Raises:
            KeyError: the design cannot end at these counts.
        """
        return self._intervals(level)[unstable, finished]

    def decision(self, unstable: int, finished: int) -> Literal["above", "below"] | None:
        """On which side of the asked rate the cell is, at an end of a decision; None for other designs."""
        if self.neutral is None:
            return None
        return "above" if unstable > self.neutral * finished else "below"

    @cached_property
    def ends(self) -> Ends:
        """The ends and the number of paths to each."""
        return ends_of(self._stops_at, self.last)

    @cached_property
    def _intervals(self) -> Callable[[float], dict[tuple[int, int], tuple[float, float]]]:
        counts = list(zip(self.ends.k.tolist(), self.ends.n.tolist(), strict=True))
        return cache(
            lambda level: {
                count: (low, high)
                for count, (low, high) in zip(counts, exact_intervals(self.ends, level).tolist(), strict=True)
            }
        )

    @cached_property
    def _stops_at(self) -> Stops:
        return cache(self.stops)


def sequential_design(goal: AllocationGoal) -> SequentialDesign | None:
    """The design that reaches the goal in a cell; None if the cell is judged by anytime intervals.

    This is the case without a certainty goal, with two of them, or for an `until_width` below `NARROWEST_WIDTH`.
    """
    if goal.until_width is not None and goal.until_decided is None and goal.until_width >= NARROWEST_WIDTH:
        return _for_width(float(goal.until_width))
    if goal.until_decided is not None and goal.until_width is None:
        return _for_decision(*goal.zone)
    return None


@lru_cache(maxsize=64)
def _for_width(width: float) -> SequentialDesign:
    return SequentialDesign(*width_stops(width))


@lru_cache(maxsize=64)
def _for_decision(low: float, high: float) -> SequentialDesign:
    return SequentialDesign(*decision_stops(low, high))
