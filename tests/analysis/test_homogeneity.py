from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact

from analysis.statistics.homogeneity import homogeneity_test


@pytest.mark.parametrize("one, other", [((7, 8), (1, 8)), ((3, 5), (2, 5)), ((0, 6), (4, 6))])
def test_two_equally_large_groups_agree_with_fisher(one: tuple[int, int], other: tuple[int, int]) -> None:
    """With groups of one size, tables are ordered alike by their probability and by Pearson's statistic."""
    exact = fisher_exact([[k, n - k] for k, n in (one, other)]).pvalue
    assert homogeneity_test([one, other]) == pytest.approx(exact, abs=0.015)


def test_the_level_is_kept_in_many_small_groups() -> None:
    rng = np.random.default_rng(0)
    sizes = [2, 3, 1, 5, 2]
    p_values = [homogeneity_test([(int(rng.binomial(n, 0.3)), n) for n in sizes]) for _ in range(200)]
    assert np.mean(np.array(p_values) < 0.05) <= 0.08


@pytest.mark.parametrize("counts", [[], [(2, 5)], [(0, 3), (0, 4)], [(3, 3), (4, 4)]])
def test_nothing_to_compare_finds_nothing(counts: list[tuple[int, int]]) -> None:
    assert homogeneity_test(counts) == 1
