from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from analysis.questions.interval_coverage import fixed_coverage
from analysis.statistics.intervals import interval


@pytest.mark.parametrize("kind, n", [("wilson", 10), ("blaker", 4), ("clopper-pearson", 7)])
def test_it_is_the_lowest_sum_of_the_binomial_distribution(kind: str, n: int) -> None:
    found = fixed_coverage(kind, n)  # type: ignore[arg-type]
    ends = [interval(kind, k, n) for k in range(n + 1)]  # type: ignore[arg-type]

    def coverage(rate: float) -> float:
        return sum(binom.pmf(k, n, rate) for k, one in enumerate(ends) if rate in one)

    assert coverage(found.at) == pytest.approx(found.lowest)
    rates = np.random.default_rng(0).random(300)
    assert min(map(coverage, rates)) >= found.lowest - 1e-9


def test_wilson_covers_least_beside_the_ends_of_its_intervals() -> None:
    assert fixed_coverage("wilson", 10).lowest == pytest.approx(0.835, abs=1e-3)
    assert fixed_coverage("blaker", 10).lowest >= 0.95
