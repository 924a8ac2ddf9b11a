"""Intervals for a rate k/n. Which one has its nominal coverage depends on how n was chosen.

==================  ===========================================================================================
`blaker`            n was fixed before the first trial; covers at least `level` for every rate and every n.
`clopper_pearson`   the same, and wider: each end alone misses with at most (1 - level) / 2.
`wilson`            n was fixed before the first trial; covers about `level` on average over rates. Its minimum for a
                    nominal .95 is .83 to .84 at n = 3 to 20, for rates near 0 and 1.
`confidence_        k/n decided whether trials were added: covers *at all looks together* with at least `level`, for
sequence`           every rule of stopping, and is wider for it. It is called ``anytime``.
`sequential`        k/n is where a sequential design ends; covers at least `level` for every rate. It depends on the
                    design and is in `core.allocation.sequential_design`.
`clustered`         trials that share a pinned seed are not independent; n was fixed before the first trial. It depends
                    on the groups and is in `analysis.statistics.clustered_interval`.
`clustered-anytime` the same, but groups were added after a look.
==================  ===========================================================================================

scipy is imported where something is computed: the import takes longer than all the rest that a status needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, log, log1p
from typing import Literal

from analysis.statistics.blaker import blaker_ends

IntervalKind = Literal["blaker", "wilson", "clopper-pearson", "anytime", "sequential", "clustered", "clustered-anytime"]
OF_COUNTS: tuple[IntervalKind, ...] = ("blaker", "wilson", "clopper-pearson", "anytime")
"""The kinds of intervals that depend on k and n alone."""
INTERVAL_QUESTIONS: dict[IntervalKind, str] = {
    "blaker": "Which rates cannot be excluded, if the number of trials was fixed in advance?",
    "wilson": "Which rates are plausible, if the number of trials was fixed in advance? At rates near 0 and 1 this "
    "interval covers less than its level.",
    "clopper-pearson": "Which rates cannot be excluded from either side, if the number of trials was fixed in advance?",
    "clustered": "Which rates cannot be excluded, if trials that share a pinned seed may be similar?",
    "clustered-anytime": "Which rates cannot be excluded, if trials that share a pinned seed may be similar, "
    "and groups may have been added after a look at results?",
    "sequential": "Which rates cannot be excluded, given the rule by which the number of trials was chosen?",
    "anytime": "Which rates cannot be excluded, regardless of how often results were looked at and when trials ended?",
}
"""The question that each kind of interval answers."""


@dataclass(frozen=True)
class Interval:
    """A range of rates in [0, 1] that covers the true rate with probability `level` if its kind suits the design."""

    low: float
    high: float
    level: float
    kind: str

    @property
    def width(self) -> float:
        """The upper end minus the lower end."""
        return self.high - self.low

    def __contains__(self, rate: float) -> bool:
        return self.low <= rate <= self.high


def clopper_pearson(k: int, n: int, level: float = 0.95) -> Interval:
    """The exact interval of Clopper and Pearson (1934) for k of n trials; [0, 1] for n = 0.

    Raises:
        ValueError: k is not in [0, n], or level not in (0, 1).
    """
    return _fixed_design(k, n, level, "clopper-pearson")


# a simulated allocation asks millions of times for a few thousand distinct (k, n)
@lru_cache(maxsize=1 << 16)
def confidence_sequence(k: float, n: int, level: float = 0.95, a: float = 1.0, b: float = 1.0) -> Interval:
    """Anytime-valid interval for k of n trials so far: the rates p that a Beta(a, b) mixture does not refute.

    With alpha = 1 - level these are { p : B(a + k, b + n - k) / B(a, b) < p^k (1-p)^(n-k) / alpha }. The left side over
    p^k (1-p)^(n-k) is a non-negative martingale of mean 1 at the true p, which by Ville's inequality ever reaches
    1/alpha with probability at most alpha (Robbins 1970; Howard et al. 2021, *Time-uniform confidence sequences*).
    It covers the mean of n independent values in [0, 1] with sum k as well: by convexity, no such values make the
    martingale grow faster than yes/no values of the same mean.

    Raises:
        ValueError: k is not in [0, n], level not in (0, 1), or a or b not positive.
    """
    _check(k, n, level)
    if a <= 0 or b <= 0:
        raise ValueError(f"a {a} and b {b} must be positive")
    if n == 0:
        return Interval(0.0, 1.0, level, "anytime")
    from scipy.special import betaln

    budget = -log(1 - level) - float(betaln(a + k, b + n - k) - betaln(a, b))

    return Interval(_refuted_below(k, n, budget), 1 - _refuted_below(n - k, n, budget), level, "anytime")


def interval(kind: IntervalKind, k: int, n: int, level: float = 0.95) -> Interval:
    """The interval of this kind for k of n trials; [0, 1] for n = 0.

    Raises:
        ValueError: the kind is not one of `OF_COUNTS`, k is not in [0, n], or level not in (0, 1).
    """
    if kind == "anytime":
        return confidence_sequence(k, n, level)
    if kind not in OF_COUNTS:
        raise ValueError(f"interval {kind!r} must be one of {', '.join(OF_COUNTS)}")
    return _fixed_design(k, n, level, kind)


def _fixed_design(k: int, n: int, level: float, kind: IntervalKind) -> Interval:
    _check(k, n, level)
    if n == 0:
        return Interval(0.0, 1.0, level, kind)
    if kind == "blaker":
        return Interval(*blaker_ends(k, n, level), level, kind)
    from scipy.stats import binomtest

    found = binomtest(k, n).proportion_ci(level, method="wilson" if kind == "wilson" else "exact")
    return Interval(float(found.low), float(found.high), level, kind)


def _refuted_below(k: float, n: int, budget: float) -> float:
    """The smallest p with -k log p - (n - k) log(1 - p) <= budget, for k of n successes."""
    if k == 0:
        return 0.0
    at_most = exp(-budget / k)
    if k == n:
        return at_most
    from scipy.optimize import brentq

    # convex in p with its minimum, below the budget, at k/n: one root on either side
    return float(brentq(lambda p: -k * log(p) - (n - k) * log1p(-p) - budget, at_most / 2, k / n, xtol=1e-14))


def _check(k: float, n: int, level: float) -> None:
    if not 0 <= k <= n:
        raise ValueError(f"k {k} must be between 0 and n {n}")
    if not 0 < level < 1:
        raise ValueError(f"level {level} must be between 0 and 1")


@dataclass(frozen=True)
class Proportion:
    """A proportion k/n of trials, its interval, and the question that it answers."""

    question: str
    k: int
    n: int
    rate: float | None
    """k / n; None for n = 0."""
    interval: Interval


def proportion(
    question: str, k: int, n: int, level: float = 0.95, kind: IntervalKind = "clopper-pearson"
) -> Proportion:
    """The proportion k/n with its interval, and the question that it answers."""
    return Proportion(question, k, n, k / n if n else None, interval(kind, k, n, level))
