"""Interval for the share of variance between groups when each trial says only yes or no.

The F distribution of the analysis of variance fails there (it covers as little as half of the time when groups are
nearly unanimous), so its place is taken by simulation under a beta-binomial model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

SHARES = np.linspace(0, 1, 51)
DRAWS = 8000
COMPARED = 500


def binary_share_ends(sizes: tuple[int, ...], hits: Sequence[int], level: float) -> tuple[float, float]:
    """Shares that the groups' yes counts do not refute, for groups of `sizes` yes/no trials that don't all agree.

    A share is refuted if, among simulated outcomes with about the same total of yes, the F ratio is this large (or this
    small) with probability below (1 - level) / 2; fixing the total all but removes the unknown overall rate. Simulated
    with a fixed seed, on a grid of shares 0.02 apart, rounded outwards.
    """
    ratio = float(f_ratios(np.array(hits), np.array(sizes)))
    total = min(sum(hits), sum(sizes) - sum(hits))
    tail = (1 - level) / 2
    as_large, as_small = np.zeros(len(SHARES)), np.zeros(len(SHARES))
    for i, alike in enumerate(_alike(sizes, total)):
        as_large[i] = (alike >= ratio * (1 - 1e-9) - 1e-9).mean()
        as_small[i] = (alike <= ratio * (1 + 1e-9) + 1e-9).mean()
    as_small[0] = as_large[-1] = 1  # no ratio is too small for share 0, or too large for share 1
    kept = np.flatnonzero((as_large > tail) & (as_small > tail))
    return float(SHARES[max(kept[0] - 1, 0)]), float(SHARES[min(kept[-1] + 1, len(SHARES) - 1)])


def f_ratios(hits: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Mean square between over mean square within groups, from yes counts of shape (..., groups).

    inf where groups are unanimous but differ, NaN where all trials agree.
    """
    total, groups = sizes.sum(), len(sizes)
    rates = hits / sizes
    grand = hits.sum(axis=-1, keepdims=True) / total
    between = (sizes * (rates - grand) ** 2).sum(axis=-1) / (groups - 1)
    within = (sizes * rates * (1 - rates)).sum(axis=-1) / (total - groups)
    with np.errstate(divide="ignore", invalid="ignore"):
        return between / within


@lru_cache(maxsize=256)
def _alike(sizes: tuple[int, ...], total: int) -> list[np.ndarray]:
    """Per share, the F ratios of the simulated outcomes whose total is nearest to `total`."""
    return [
        ratios[np.argsort(np.abs(totals - total), kind="stable")[:COMPARED]] for ratios, totals in _simulated(sizes)
    ]


@lru_cache(maxsize=8)
def _simulated(sizes: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    """F ratios and totals (of the rarer answer) of `DRAWS` outcomes per share, overall rates even in (0, 1/2)."""
    rng = np.random.default_rng(0)
    counts = np.array(sizes)
    rates = (np.arange(DRAWS)[:, None] + 0.5) / (2 * DRAWS)
    found = []
    for share in SHARES:
        if share == 0:
            chance = np.broadcast_to(rates, (DRAWS, len(sizes)))
        elif share == 1:
            chance = (rng.random((DRAWS, len(sizes))) < rates).astype(float)
        else:
            strength = 1 / share - 1
            chance = rng.beta(rates * strength, (1 - rates) * strength, (DRAWS, len(sizes)))
        hits = rng.binomial(counts, chance)
        totals = hits.sum(axis=1)
        varied = (totals > 0) & (totals < counts.sum())
        found.append((f_ratios(hits[varied], counts), np.minimum(totals, counts.sum() - totals)[varied]))
    return found
