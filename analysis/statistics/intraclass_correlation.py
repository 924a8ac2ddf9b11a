"""An interval for the share of variance between groups of yes/no trials.

The F distribution of the analysis of variance does not hold for them: if groups are nearly unanimous, its interval
covers only half of the time. This interval comes from simulation under a beta-binomial model instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

SHARES = np.linspace(0, 1, 51)
"""Shares that are tested."""
DRAWS = 8000
"""Number of simulated outcomes for each share."""
COMPARED = 500
"""Number of simulated outcomes that are compared with the observed one: those with the most similar total."""


def binary_share_ends(sizes: tuple[int, ...], hits: Sequence[int], level: float) -> tuple[float, float]:
    """Ends of the interval of shares that the yes counts `hits` of groups of `sizes` trials do not refute.

    A share is refuted if, among simulated outcomes with about the same total of yes, the F ratio is at least this large
    (or at most this small) with probability below (1 - level) / 2. Fixing the total nearly removes the influence of the
    unknown overall rate. The simulation has a fixed seed and a grid of shares in steps of 0.02; the ends are rounded
    outwards. Trials must not all agree.
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
    """Mean square between groups over mean square within groups, from yes counts of shape (..., groups).

    The ratio is inf if groups are unanimous but differ, and NaN if all trials agree.
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
    """For each share, the F ratios of the simulated outcomes whose totals are nearest to `total`."""
    return [
        ratios[np.argsort(np.abs(totals - total), kind="stable")[:COMPARED]] for ratios, totals in _simulated(sizes)
    ]


@lru_cache(maxsize=8)
def _simulated(sizes: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    """F ratios and totals of the rarer answer of `DRAWS` outcomes for each share; overall rates even in (0, 1/2)."""
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
