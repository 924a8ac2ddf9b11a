"""The counts at which a cell's rate is decided to be above or below a zone of indifference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, log

import numpy as np

from core.allocation.lattice import Stops

WRONG_DECISION = 0.05
"""Probability of a wrong decision at either edge of the zone. It is smaller outside, and not bounded inside."""
ZONE_ODDS = 7 / 3
"""Default zone: odds by this factor below and above the asked rate, which is 0.3 to 0.7 for 0.5."""
UNDECIDED_AT_END = 1e-3
"""Probability, at the worst rate, that a path is still open at the largest number of trials, which decides it."""
LAST_MOVED_BOUND = 30
"""Numbers of trials up to which the bounds are moved inwards."""


def default_zone(rate: float) -> tuple[float, float]:
    """The zone of indifference around a rate."""
    odds = rate / (1 - rate)
    low, high = odds / ZONE_ODDS, odds * ZONE_ODDS
    return low / (1 + low), high / (1 + high)


def decision_stops(low: float, high: float) -> tuple[Stops, int, float]:
    """The counts at which to decide, the largest number of trials, and the rate that separates both answers.

    It starts from Wald's (1945) sequential probability ratio test of `high` against `low`, whose error is at most
    `WRONG_DECISION` by Ville's inequality, and smaller because paths overshoot its bounds. The unused error is spent
    early: for n = 1, 2, ..., each bound is moved inwards as long as both errors, computed exactly, remain at most
    `WRONG_DECISION`.
    """
    up, down = log(high / low), log((1 - high) / (1 - low))
    neutral = -down / (up - down)
    bounds = _wald(up, down, neutral)
    for n in range(1, min(LAST_MOVED_BOUND, len(bounds.above) - 1)):
        _move(bounds.above, n, -1, neutral, lambda: bounds.error(low, above=True))
        _move(bounds.below, n, 1, neutral, lambda: bounds.error(high, above=False))
    return bounds.stops, len(bounds.above) - 1, neutral


@dataclass(frozen=True)
class _Bounds:
    """For each n, the smallest k that decides *above* and the largest that decides *below*."""

    above: list[int]
    below: list[int]

    def stops(self, n: int) -> np.ndarray:
        k = np.arange(n + 1)
        return (k >= self.above[n]) | (k <= self.below[n])

    def error(self, rate: float, *, above: bool) -> float:
        """Probability of the decision *above*, or *below*, at this rate."""
        found, alive = 0.0, np.ones(1)
        for n in range(1, len(self.above)):
            alive = _next(alive, rate)
            low, high = max(self.below[n] + 1, 0), max(min(self.above[n], n + 1), 0)
            found += float(alive[high:].sum() if above else alive[:low].sum())
            alive[high:] = alive[:low] = 0
        return found


def _wald(up: float, down: float, neutral: float) -> _Bounds:
    """Wald's bounds, up to the number of trials at which few paths are open. Those are decided by their likelihood."""
    bound, alive, bounds = log(1 / WRONG_DECISION), np.ones(1), _Bounds([1], [-1])
    while alive.sum() > UNDECIDED_AT_END:
        n = len(bounds.above)
        bounds.above.append(ceil((bound - n * down) / (up - down) - 1e-9))
        bounds.below.append(floor((-bound - n * down) / (up - down) + 1e-9))
        alive = np.where(bounds.stops(n), 0, _next(alive, neutral))
    bounds.below[-1] = floor(neutral * (len(bounds.above) - 1))
    bounds.above[-1] = bounds.below[-1] + 1
    return bounds


def _move(bound: list[int], n: int, step: int, neutral: float, error: Callable[[], float]) -> None:
    """Move the bound at n inwards as far as the error allows, but not over the neutral rate."""
    while 0 <= bound[n] + step <= n and step * (bound[n] + step - neutral * n) < 0:
        bound[n] += step
        if error() > WRONG_DECISION:
            bound[n] -= step
            return


def _next(alive: np.ndarray, rate: float) -> np.ndarray:
    """The probabilities of k hits after one more trial."""
    grown = np.zeros(len(alive) + 1)
    grown[:-1] = alive * (1 - rate)
    grown[1:] += alive * rate
    return grown
