"""The difference of two proportions over the same trials."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import binomtest


@dataclass(frozen=True)
class PairedCounts:
    """Counts of positive outcomes of two methods over the same cases."""

    both: int
    """Cases in which both methods are positive."""
    first: int
    """Cases in which only the first method is positive."""
    second: int
    """Cases in which only the second method is positive."""
    neither: int
    """Cases in which no method is positive."""

    @property
    def cases(self) -> int:
        """Number of pairs."""
        return self.both + self.first + self.second + self.neither

    @property
    def difference(self) -> float:
        """Share of positive outcomes of the second method minus that of the first."""
        return (self.second - self.first) / self.cases

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Interval of the difference: method 10 of Newcombe (1998, Statistics in Medicine 17:2635), from Wilson's."""
        cases = self.cases
        below, above = [], []
        for count in (self.both + self.second, self.both + self.first):
            ends = binomtest(count, cases).proportion_ci(level, method="wilson")
            below.append(count / cases - ends.low)
            above.append(ends.high - count / cases)
        phi = self._phi()
        low = math.sqrt(max(below[0] ** 2 - 2 * phi * below[0] * above[1] + above[1] ** 2, 0))
        high = math.sqrt(max(above[0] ** 2 - 2 * phi * above[0] * below[1] + below[1] ** 2, 0))
        return self.difference - low, self.difference + high

    def p_value(self) -> float:
        """Two-sided p-value of McNemar's exact test of no difference."""
        discordant = self.first + self.second
        return float(binomtest(self.first, discordant).pvalue) if discordant else 1.0

    def _phi(self) -> float:
        product = float(self.both * self.neither - self.first * self.second)
        if product > 0:
            product = max(product - self.cases / 2, 0)  # Newcombe's continuity correction
        margins = (
            (self.both + self.first)
            * (self.second + self.neither)
            * (self.both + self.second)
            * (self.first + self.neither)
        )
        return product / math.sqrt(margins) if margins else 0.0
