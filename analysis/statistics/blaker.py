"""Blaker's exact interval for a rate."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1 << 14)
def blaker_ends(k: int, n: int, level: float) -> tuple[float, float]:
    """Ends of the interval of Blaker (2000, *Confidence curves and improved exact intervals*) for k of n trials.

    A rate p is refuted if a result at least as far in its tail as k has probability at most 1 - level: the smaller tail
    of k, plus the largest tail on the other side that is no larger. The interval covers with at least `level` at every
    rate, like Clopper and Pearson's, and lies within it. Two intervals of one n with different levels are nested.
    """
    return _lower_end(k, n, 1 - level), 1 - _lower_end(n - k, n, 1 - level)


def _lower_end(k: int, n: int, alpha: float) -> float:
    """The smallest rate that is not refuted.

    Below k/n the smaller tail is P(X >= k), which grows with p. The opposite tail is P(X <= q) with the largest q for
    which it is no larger; q grows with p, and at each step of q the acceptability jumps upwards. Between two steps the
    sum of both tails is first falling, then rising.
    """
    if k == 0:
        return 0.0
    from scipy.optimize import brentq
    from scipy.special import bdtr, bdtrc, betaincinv

    def surplus(p: float, q: int) -> float:
        """Both tails together, minus alpha."""
        return float(bdtrc(k - 1, n, p) + (bdtr(q, n, p) if q >= 0 else 0.0)) - alpha

    def step(q: int) -> float:
        """The rate at which P(X <= q) and P(X >= k) are equal."""
        return float(brentq(lambda p: bdtrc(k - 1, n, p) - bdtr(q, n, p), 0.0, 1.0, xtol=1e-15))

    # no rate is accepted below Clopper and Pearson's end, where P(X >= k) is alpha / 2
    start = float(betaincinv(k, n - k + 1, alpha / 2))
    q = -1
    while bdtr(q + 1, n, start) <= bdtrc(k - 1, n, start):
        q += 1
    while True:
        end = step(q + 1) if q + 1 < k else k / n
        if surplus(start, q) > 0:
            return start
        if surplus(end, q) > 0:
            return float(brentq(surplus, start, end, args=(q,), xtol=1e-15))
        start, q = end, q + 1
