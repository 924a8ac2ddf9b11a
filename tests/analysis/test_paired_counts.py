"""The interval for the difference of two paired shares: exact coverage, and the normal approximation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multinomial

from analysis.statistics.paired_counts import paired_share_ends, tango_statistic


@pytest.mark.parametrize("pairs", [3, 5, 10])
def test_it_covers_at_every_share_of_pairs_that_differ(pairs: int) -> None:
    outcomes = [(i, j) for i in range(pairs + 1) for j in range(pairs + 1 - i)]
    ends = np.array([paired_share_ends(i, j, pairs) for i, j in outcomes])
    counts = [(i, j, pairs - i - j) for i, j in outcomes]
    rng = np.random.default_rng(0)
    for first, second, same in rng.dirichlet([0.5, 0.5, 1], 300):
        covered = (ends[:, 0] <= first - second) & (first - second <= ends[:, 1])
        assert multinomial.pmf(counts, pairs, (first, second, same)) @ covered >= 0.9499


def test_it_is_symmetric_and_has_a_width_where_no_pair_differs() -> None:
    low, high = paired_share_ends(4, 1, 9)
    assert (-high, -low) == pytest.approx(paired_share_ends(1, 4, 9))
    assert paired_share_ends(0, 0, 5) == pytest.approx((-0.46, 0.46))


def test_many_pairs_have_tangos_interval() -> None:
    """The example of Newcombe (1998, *Improved confidence intervals ... paired data*): 12 and 2 of 50 pairs differ."""
    low, high = paired_share_ends(12, 2, 50)
    assert (low, high) == pytest.approx((0.0611, 0.3447), abs=2e-4)
    assert abs(tango_statistic(np.array(12), np.array(2), 50, low)) == pytest.approx(1.95996, abs=1e-4)
