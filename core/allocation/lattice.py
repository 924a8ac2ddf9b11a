"""Exact probabilities and intervals of sequential designs, by counting paths.

A design is a set of counts (k, n), k of n trials, at which it stops. A sequence of yes/no trials is a path on the
lattice of counts, and the design ends at the first count of the path that is in the set. The probability of each end at
a rate p is the number of paths that reach it first, times ``p^k (1-p)^(n-k)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RATE_STEPS = 1000
"""Rates are tested in steps of 1 / RATE_STEPS, and ends of intervals are rounded outwards to such a rate."""
Stops = Callable[[int], np.ndarray]
"""n -> for each k from 0 to n, whether the design stops at (k, n)."""


@dataclass(frozen=True, eq=False)
class Ends:
    """The counts at which a design can end, sorted by n and k."""

    k: np.ndarray
    n: np.ndarray
    log_paths: np.ndarray
    """Logarithm of the number of paths that reach the count without reaching another end before."""

    def log_probability(self, rates: np.ndarray) -> np.ndarray:
        """Log-probability ``[ends, rates]`` of each end, for rates in (0, 1)."""
        k, n = self.k[:, None], self.n[:, None]
        return self.log_paths[:, None] + k * np.log(rates) + (n - k) * np.log1p(-rates)

    def expected_trials(self, rates: np.ndarray) -> np.ndarray:
        """Expected number of trials at each rate in (0, 1)."""
        return self.n @ np.exp(self.log_probability(rates))


def ends_of(stops: Stops, last: int) -> Ends:
    """The ends of a design. A path that has not ended after ``last`` trials ends there."""
    alive = np.zeros(1)
    found = []
    for n in range(1, last + 1):
        grown = np.full(n + 1, -np.inf)
        grown[:-1] = alive
        grown[1:] = np.logaddexp(grown[1:], alive)
        stop = np.isfinite(grown) & (stops(n) if n < last else True)
        k = np.flatnonzero(stop)
        found.append((k, np.full(len(k), n), grown[k]))
        alive = np.where(stop, -np.inf, grown)
        if not np.isfinite(alive).any():
            break
    return Ends(*(np.concatenate(part) for part in zip(*found, strict=True)))


def exact_intervals(ends: Ends, level: float = 0.95) -> np.ndarray:
    """Lower and upper ends ``[ends, 2]`` of intervals that cover every rate with at least `level`.

    The likelihood-ratio test of a rate p orders the ends by ``log L(k/n) - log L(p)``; the interval of an end is the
    range of rates that its tests do not refute (as in Chen and Chen 2013, *Exact group-sequential designs ...*).
    """
    rates = np.arange(1, RATE_STEPS) / RATE_STEPS
    log_p = ends.log_probability(rates)
    ratio = _log_likelihood(ends.k, ends.n)[:, None] - (log_p - ends.log_paths[:, None])
    order = np.argsort(-ratio, axis=0, kind="stable")
    as_extreme = np.cumsum(np.take_along_axis(np.exp(log_p), order, axis=0), axis=0)
    # ends with equal ratios belong together: each gets the sum up to the last of them
    tied = np.diff(np.take_along_axis(ratio, order, axis=0), axis=0) > -1e-9
    for i in range(len(tied) - 1, -1, -1):
        as_extreme[i] = np.where(tied[i], as_extreme[i + 1], as_extreme[i])
    p_values = np.empty_like(as_extreme)
    np.put_along_axis(p_values, order, as_extreme, axis=0)
    kept = p_values > 1 - level
    low = np.where(ends.k == 0, 0, kept.argmax(axis=1))
    high = np.where(ends.k == ends.n, RATE_STEPS, RATE_STEPS - kept[:, ::-1].argmax(axis=1))
    return np.stack([low, high], axis=1) / RATE_STEPS


def _log_likelihood(k: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Log-likelihood of k of n at the rate k/n."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(k > 0, k * np.log(k / n), 0.0) + np.where(k < n, (n - k) * np.log1p(-k / n), 0.0)
