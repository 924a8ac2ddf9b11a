"""The Clopper-Pearson confidence distributions of a rate, from which intervals of several rates are melded."""

from __future__ import annotations

import numpy as np

Count = tuple[int, int]
"""k of n."""


def confidence_draws(points: np.ndarray, k: int, n: int, *, upper: bool) -> np.ndarray:
    """Quantiles at `points` of the upper or the lower Clopper-Pearson confidence distribution of k of n."""
    a, b = (k + 1, n - k) if upper else (k, n - k + 1)
    if a == 0:
        return np.zeros_like(points)
    if b == 0:
        return np.ones_like(points)
    # imported here, because scipy takes longer to import than a status takes to print
    from scipy.special import betaincinv

    return betaincinv(a, b, points)
