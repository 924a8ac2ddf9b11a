"""The interval for the mean of bounded values, where Student's has no width or covers too little."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, ttest_1samp

from analysis.statistics.bounded_mean import bounded_mean_ends
from analysis.statistics.intervals import clopper_pearson


@pytest.mark.parametrize("k, n", [(0, 3), (1, 3), (4, 10)])
def test_values_at_the_bounds_have_clopper_and_pearsons_interval(k: int, n: int) -> None:
    exact = clopper_pearson(k, n)
    found = bounded_mean_ends([1.0] * k + [0.0] * (n - k), 0, 1)
    assert found == pytest.approx((exact.low, exact.high), abs=0.01)


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("size", [0.2, 1.0])
def test_it_covers_where_a_share_of_the_differences_is_zero(n: int, size: float) -> None:
    ends = np.array([bounded_mean_ends([size] * k + [0.0] * (n - k), -1, 1) for k in range(n + 1)])
    for share in np.linspace(0, 1, 21):
        covered = (ends[:, 0] <= share * size) & (share * size <= ends[:, 1])
        assert binom.pmf(range(n + 1), n, share) @ covered >= 0.945


def test_students_interval_misses_there() -> None:
    covered = 0.0
    for values in product((0.0, 0.2), repeat=3):
        found = ttest_1samp(values, 0).confidence_interval() if len(set(values)) > 1 else None
        covered += (found is not None and found.low <= 0.1 <= found.high) / 8
    assert covered == 0.75
