"""An exact interval for the difference of two shares that were measured on the same subjects."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.stats import multinomial, norm

EXACT_UP_TO = 30
"""Largest number of pairs for which probabilities are summed; beyond it, the normal approximation is good."""
STEP = 0.01
"""Distance of the differences that are tested."""
NUISANCE = 41
"""Number of values of the unknown share of discordant pairs for each difference."""


@lru_cache(maxsize=1024)
def paired_share_ends(first: int, second: int, pairs: int, level: float = 0.95) -> tuple[float, float]:
    """Ends of the interval for the share of yes under one condition minus that under another.

    A difference is refuted if outcomes whose score statistic (Tango 1998) is at least as large have probability below
    1 - level, whatever the share of pairs that differ. The largest probability over this unknown share is taken on a
    grid, which makes the interval exact up to the grid (Hsueh, Liu and Chen 2001). Ends are rounded outwards to steps
    of 0.01. Beyond 30 pairs the ends are Tango's.

    Args:
        first: number of pairs that are yes only under the first condition.
        second: number of pairs that are yes only under the second condition.
        pairs: number of all pairs.
        level: coverage, in (0, 1).
    """
    if pairs > EXACT_UP_TO:
        return _tango(first, second, pairs, level)
    outcomes = _outcomes(pairs)
    here = int(np.flatnonzero((outcomes[:, 0] == first) & (outcomes[:, 1] == second))[0])
    kept = [d for d, p_values in _p_values(pairs) if p_values[here] > 1 - level]
    return max(-1.0, min(kept) - STEP), min(1.0, max(kept) + STEP)


@lru_cache(maxsize=1024)
def paired_p_value(first: int, second: int, pairs: int) -> float:
    """Two-sided p-value of the hypothesis that both shares are equal, from the same statistic and probabilities."""
    if pairs > EXACT_UP_TO:
        return float(2 * norm.sf(abs(tango_statistic(np.array(first), np.array(second), pairs, 0.0))))
    outcomes = _outcomes(pairs)
    here = int(np.flatnonzero((outcomes[:, 0] == first) & (outcomes[:, 1] == second))[0])
    return min(1.0, next(float(p_values[here]) for difference, p_values in _p_values(pairs) if difference == 0))


def tango_statistic(first: np.ndarray, second: np.ndarray, pairs: int, difference: float) -> np.ndarray:
    """Tango's (1998, *Equivalence test and confidence interval for the difference in proportions ...*) score."""
    a, c = 2 * pairs, -second * difference * (1 - difference)
    b = -first - second + (2 * pairs - first + second) * difference
    share = (np.sqrt(np.maximum(b * b - 4 * a * c, 0)) - b) / (2 * a)
    spread = np.maximum(pairs * (2 * share + difference * (1 - difference)), 0)
    surplus = first - second - pairs * difference
    with np.errstate(divide="ignore", invalid="ignore"):
        found: np.ndarray = np.where(np.abs(surplus) < 1e-12, 0.0, surplus / np.sqrt(spread))
    return found


def _tango(first: int, second: int, pairs: int, level: float) -> tuple[float, float]:
    z, middle = float(norm.ppf((1 + level) / 2)), (first - second) / pairs

    def surplus(difference: float) -> float:
        return float(abs(tango_statistic(np.array(first), np.array(second), pairs, difference))) - z

    low = -1.0 if middle == -1 else float(brentq(surplus, -1 + 1e-9, middle))
    high = 1.0 if middle == 1 else float(brentq(surplus, middle, 1 - 1e-9))
    return low, high


def _outcomes(pairs: int) -> np.ndarray:
    """All (first, second), shape ``[outcomes, 2]``."""
    return np.array([(i, j) for i in range(pairs + 1) for j in range(pairs + 1 - i)])


@lru_cache(maxsize=32)
def _p_values(pairs: int) -> list[tuple[float, np.ndarray]]:
    """For each tested difference, the p-value of each outcome."""
    outcomes = _outcomes(pairs)
    counts = np.column_stack([outcomes, pairs - outcomes.sum(axis=1)])
    found = []
    for difference in np.round(np.arange(-1 + STEP, 1, STEP), 10):
        score = np.round(np.abs(tango_statistic(outcomes[:, 0], outcomes[:, 1], pairs, difference)), 9)
        order = np.argsort(-score, kind="stable")
        last = np.searchsorted(-score[order], -score, side="right") - 1
        second = np.linspace(max(0.0, -difference), (1 - difference) / 2, NUISANCE)[:, None]
        shares = np.hstack([second + difference, second, 1 - 2 * second - difference]).clip(0, 1)
        chance = multinomial.pmf(counts[None], pairs, (shares / shares.sum(axis=1, keepdims=True))[:, None])
        found.append((float(difference), np.cumsum(chance[:, order], axis=1)[:, last].max(axis=0)))
    return found
