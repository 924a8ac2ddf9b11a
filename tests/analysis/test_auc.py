"""The AUC within strata and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from analysis.statistics.auc import adjusted_roc, auc_within


def strata(rng: np.random.Generator, sizes: list[tuple[int, int]], auc: float, spread: float = 1.0):
    """Normal scores with this AUC within strata; positive ones have the standard deviation `spread`."""
    shift = norm.ppf(auc) * np.hypot(1, spread)
    levels = 10 * rng.standard_normal(len(sizes))
    return [
        (level + shift + spread * rng.standard_normal(n), level + rng.standard_normal(m))
        for level, (n, m) in zip(levels, sizes, strict=True)
    ]


def test_one_stratum_agrees_with_scikit_learn_and_several_are_weighted_by_their_pairs() -> None:
    rng = np.random.default_rng(0)
    found = [(one.round(1), other.round(1)) for one, other in strata(rng, [(8, 12), (5, 30)], 0.8)]
    expected = [roc_auc_score([1] * len(a) + [0] * len(b), np.concatenate([a, b])) for a, b in found]
    assert [auc_within([stratum])[0] for stratum in found] == pytest.approx(expected)
    assert auc_within(found)[0] == pytest.approx(np.average(expected, weights=[8 * 12, 5 * 30]))


def test_the_area_under_the_curve_is_the_auc() -> None:
    found = strata(np.random.default_rng(1), [(8, 12), (5, 30), (1, 1)], 0.8)
    false_alarms, hits = adjusted_roc(found)
    assert (np.diff(false_alarms) * hits[:-1]).sum() == pytest.approx(auc_within(found)[0])


def test_scores_that_separate_fully_leave_a_width() -> None:
    auc, interval = auc_within([(np.arange(10.0, 20), np.arange(-30.0, 0))])
    assert (auc, interval.high) == (1, 1)
    assert 0.75 < interval.low < 0.9
    assert auc_within([(np.array([1.0]), np.array([0.0]))])[1].low < 0.3
    assert auc_within([(np.array([0.0]), np.array([1.0]))])[1].low == 0


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [[(10, 30)], [(5, 35)], [(3, 7)] * 4], ids=str)
@pytest.mark.parametrize("auc", [0.6, 0.921, 0.983])
@pytest.mark.parametrize("spread", [1, 3])
def test_intervals_cover_also_where_scores_nearly_separate(
    sizes: list[tuple[int, int]], auc: float, spread: float
) -> None:
    rng = np.random.default_rng(2)
    covered = sum(auc in auc_within(strata(rng, sizes, auc, spread))[1] for _ in range(300))
    assert covered / 300 >= 0.92
