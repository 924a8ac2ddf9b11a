"""Kaplan-Meier curves with intervals that hold at few trials, and the log-rank test. Times are integers (epochs)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, chi2

from analysis.statistics.intervals import Interval


@dataclass(frozen=True)
class Curve:
    """Survival after each event time. All arrays have one entry for each distinct event time, ascending."""

    epochs: np.ndarray
    events: np.ndarray
    at_risk: np.ndarray
    """Number of subjects that were observed at the event time without an earlier event."""
    survival: np.ndarray
    last_seen: int
    """Largest time of all subjects; the curve ends there."""
    level: float
    _times: np.ndarray
    _happened: np.ndarray

    def survival_at(self, epoch: int) -> tuple[float | None, Interval]:
        """P(no event by the end of `epoch`) and its pointwise interval.

        The estimate is None after `last_seen`, unless it is 0 by then: what has happened to all stays so.
        """
        passed = int(np.searchsorted(self.epochs, epoch, side="right"))
        estimate = float(self.survival[passed - 1]) if passed else 1.0
        # a subject that was observed to the end of this epoch without an event is at risk
        still = (self._times > epoch) | ((self._times == epoch) & ~self._happened)
        low, high = self._beta_product(passed, int(still.sum()))
        known = epoch <= self.last_seen or estimate == 0
        return (estimate if known else None), Interval(low, high, self.level, "beta-product")

    def _beta_product(self, passed: int, still_at_risk: int) -> tuple[float, float]:
        """Fay, Brittain and Proschan (2013), *Pointwise confidence intervals for a survival distribution ...*, eq. 5.

        Products of independent betas, one per event time, approximated by the beta with the same mean and variance;
        without censoring that is exact and gives the Clopper-Pearson interval.
        """
        d, n = self.events[:passed], self.at_risk[:passed]
        tail = (1 - self.level) / 2
        high = _product_quantile(1 - tail, n - d + 1, d) if passed else 1.0
        if not still_at_risk:
            return 0.0, high
        return _product_quantile(tail, np.append(n - d + 1, still_at_risk), np.append(d, 1)), high


def kaplan_meier(times: Sequence[int], happened: Sequence[bool], level: float = 0.95) -> Curve:
    """Survival from right-censored times: an event at `times[i]` if `happened[i]`, otherwise no event until its end.

    Raises:
        ValueError: there is no subject.
    """
    if not len(times):
        raise ValueError("times must not be empty: a survival curve needs at least one trial")
    seen, event = np.asarray(times, int), np.asarray(happened, bool)
    epochs, events = np.unique(seen[event], return_counts=True)
    at_risk = (seen[:, None] >= epochs).sum(axis=0)
    return Curve(epochs, events, at_risk, np.cumprod(1 - events / at_risk), int(seen.max()), level, seen, event)


def log_rank(groups: Sequence[tuple[Sequence[int], Sequence[bool]]]) -> tuple[float, float]:
    """Chi-square statistic and p-value of Mantel's log-rank test that all groups of (times, happened) share one curve.

    The p-value is asymptotic: with fewer than about five events per group it is only a guide. Without any event the
    statistic is 0.
    """
    times = [np.asarray(t, int) for t, _ in groups]
    event = [np.asarray(e, bool) for _, e in groups]
    epochs = np.unique(np.concatenate([t[e] for t, e in zip(times, event, strict=True)]))
    at_risk = np.array([len(t) - np.searchsorted(np.sort(t), epochs) for t in times], float)
    numbers = [np.searchsorted(epochs, t[e]) for t, e in zip(times, event, strict=True)]
    events = np.array([np.bincount(number, minlength=len(epochs)) for number in numbers])
    n, d = at_risk.sum(axis=0), events.sum(axis=0)
    share = at_risk / n
    surplus = (events - d * share).sum(axis=1)
    spread = d * (n - d) / np.maximum(n - 1, 1)
    covariance = np.diag((spread * share).sum(axis=1)) - (spread * share) @ share.T
    statistic = float(surplus @ np.linalg.pinv(covariance, hermitian=True) @ surplus)
    return statistic, float(chi2.sf(statistic, len(groups) - 1))


def _product_quantile(q: float, a: np.ndarray, b: np.ndarray) -> float:
    """Quantile of the beta distribution with the mean and variance of a product of independent Beta(a, b)."""
    mean = np.prod(a / (a + b))
    square = np.prod(a * (a + 1.0) / ((a + b) * (a + b + 1.0)))
    size = (mean - square) / (square - mean**2)
    return float(beta.ppf(q, mean * size, (1 - mean) * size))
