from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, chi2_contingency

from core.allocation import is_audited

SEEDS = range(4000)
PINNED = [9, 12, 15, 16]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_share(share):
    drawn = sum(is_audited("sweep", f"cell{cell}", seed, share) for cell in range(5) for seed in SEEDS)
    assert binomtest(drawn, 5 * len(SEEDS), share).pvalue > 1e-3


def test_none_and_all():
    assert not any(is_audited("sweep", "cell", seed, 0.0) for seed in SEEDS)
    assert all(is_audited("sweep", "cell", seed, 1.0) for seed in SEEDS)


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a", "c"), ("a", "d")), (("a", "c"), ("b", "c")), (("a", "bc"), ("ab", "c"))],
    ids=["cells", "sweeps", "no concatenation"],
)
def test_cells_and_sweeps_are_independent(one, other):
    first = np.array([is_audited(*one, seed, 0.3) for seed in SEEDS])
    second = np.array([is_audited(*other, seed, 0.3) for seed in SEEDS])
    assert chi2_contingency([[np.sum(first & second), np.sum(first & ~second)],
                             [np.sum(~first & second), np.sum(~first & ~second)]]).pvalue > 1e-3  # fmt: skip


def test_neighbouring_seeds_are_independent():
    drawn = np.array([is_audited("sweep", "cell", seed, 0.5) for seed in SEEDS])
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 3.5 / len(SEEDS) ** 0.5


def test_a_larger_share_keeps_those_of_a_smaller_one():
    small = {seed for seed in SEEDS if is_audited("sweep", "cell", seed, 0.1)}
    large = {seed for seed in SEEDS if is_audited("sweep", "cell", seed, 0.3)}
    assert small < large


def test_the_draw_never_changes():
    assert [seed for seed in range(30) if is_audited("quick", "0123456789ab", seed, 0.2)] == PINNED


def test_impossible_share():
    with pytest.raises(ValueError, match=r"audit 1.5 must be between 0 and 1"):
        is_audited("sweep", "cell", 0, 1.5)
