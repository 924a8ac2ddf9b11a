from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, fisher_exact

from analysis.statistics.rate_difference import difference_ends


@pytest.mark.parametrize("n, m", [(3, 5), (6, 6), (10, 4)])
def test_it_excludes_zero_where_fishers_test_rejects(n: int, m: int) -> None:
    for k in range(n + 1):
        for j in range(m + 1):
            low, high = difference_ends((k, n), (j, m))
            p = [fisher_exact([[k, j], [n - k, m - j]], alternative=side).pvalue for side in ("greater", "less")]
            # the quantiles are exact to 0.005 only
            if min(abs(low), abs(high)) > 0.005:
                assert (low > 0, high < 0) == (p[0] <= 0.025, p[1] <= 0.025)


def test_the_ends_mirror_each_other() -> None:
    low, high = difference_ends((2, 7), (4, 5))
    assert difference_ends((4, 5), (2, 7)) == pytest.approx((-high, -low), abs=0.005)
    assert low < 2 / 7 - 4 / 5 < high


@pytest.mark.parametrize("n, m", [(3, 3), (5, 8)])
def test_it_covers_every_pair_of_rates(n: int, m: int) -> None:
    rates = np.linspace(0.01, 0.99, 50)
    one, other = (binom.pmf(np.arange(size + 1)[:, None], size, rates) for size in (n, m))
    covered = np.zeros((50, 50))
    difference = rates[:, None] - rates
    for k in range(n + 1):
        for j in range(m + 1):
            low, high = difference_ends((k, n), (j, m))
            covered += one[k][:, None] * other[j] * ((low - 0.005 <= difference) & (difference <= high + 0.005))
    assert covered.min() >= 0.95
