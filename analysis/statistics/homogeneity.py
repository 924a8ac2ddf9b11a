"""A test that several groups share one rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DRAWS = 9999
"""Number of random tables, which makes the smallest p-value 1e-4."""


def homogeneity_test(counts: Sequence[tuple[int, int]]) -> float:
    """P-value of a permutation test that all groups have one rate; 1 if nothing varies or there is only one group.

    Tables with the observed margins are drawn with a fixed seed, and compared with the observed one by Pearson's
    statistic. The test is exact up to the number of draws (Phipson and Smyth 2010): the observed table counts as one.

    Args:
        counts: (k, n) of each group, n at least 1.
    """
    hits, sizes = np.array([k for k, _ in counts], int), np.array([n for _, n in counts], int)
    total, all_hits = sizes.sum(), hits.sum()
    if len(counts) < 2 or all_hits in (0, total):
        return 1.0
    # imported here, because scipy takes longer to import than a status takes to print
    from scipy.stats import random_table

    drawn = random_table([all_hits, total - all_hits], sizes).rvs(DRAWS, random_state=0)[:, 0]
    expected = sizes * all_hits / total

    def statistic(found: np.ndarray) -> np.ndarray:
        return ((found - expected) ** 2 / sizes).sum(axis=-1)

    as_large = (statistic(drawn) >= statistic(hits) * (1 - 1e-9)).sum()
    return float((as_large + 1) / (DRAWS + 1))
