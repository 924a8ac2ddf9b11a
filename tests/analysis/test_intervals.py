from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from analysis.statistics.intervals import OF_COUNTS, clopper_pearson, confidence_sequence, interval

RATES = np.linspace(0.005, 0.995, 199)


@pytest.mark.parametrize("k, n", [(0, 1), (1, 1), (0, 10), (7, 10), (10, 10), (3, 4000)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_fixed_design_intervals_agree_with_statsmodels(k: int, n: int, level: float) -> None:
    for ours, theirs in [(partial(interval, "wilson"), "wilson"), (clopper_pearson, "beta")]:
        low, high = proportion_confint(k, n, 1 - level, method=theirs)
        assert (ours(k, n, level).low, ours(k, n, level).high) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize("n", [1, 3, 10, 30])
@pytest.mark.parametrize("kind", ["blaker", "clopper-pearson", "anytime"])
def test_coverage_is_at_least_nominal_at_every_rate(kind: str, n: int) -> None:
    assert exact_coverage(kind, n, 0.95).min() >= 0.95


@pytest.mark.parametrize("n", [3, 10, 30])
def test_wilson_covers_about_the_level_on_average(n: int) -> None:
    coverage = exact_coverage("wilson", n, 0.95)
    assert coverage.mean() >= 0.945
    assert coverage.min() >= 0.83  # Wilson's interval has low coverage near 0 and 1, which Clopper-Pearson avoids.


def exact_coverage(kind: str, n: int, level: float) -> np.ndarray:
    found = [interval(kind, k, n, level) for k in range(n + 1)]  # type: ignore[arg-type]
    covered = np.array([[rate in one for rate in RATES] for one in found])
    return (covered * binom.pmf(np.arange(n + 1)[:, None], n, RATES)).sum(axis=0)


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("n", [1, 2, 5, 10, 23])
def test_blakers_interval_is_where_its_acceptability_is_above_alpha(n: int, level: float) -> None:
    rates = np.linspace(1e-4, 1 - 1e-4, 1501)
    below, above = binom.cdf(np.arange(-1, n + 1)[:, None], n, rates), binom.sf(np.arange(-1, n + 1)[:, None], n, rates)
    for k in range(n + 1):
        small = np.minimum(below[k + 1], above[k])
        other = np.where(below[k + 1] < above[k], above, below)
        other = np.where(other <= small * (1 + 1e-12), other, 0).max(axis=0)
        kept = rates[small + other > 1 - level]
        found, wide = interval("blaker", k, n, level), clopper_pearson(k, n, level)
        assert (found.low, found.high) == pytest.approx((kept[0], kept[-1]), abs=rates[1] - rates[0])
        assert wide.low - 1e-12 <= found.low
        assert found.high <= wide.high + 1e-12


@pytest.mark.parametrize("k, n, expected", [(7, 10, (0.27, 0.96)), (0, 10, (0, 0.42)), (14, 20, (0.37, 0.93))])
def test_confidence_sequence_has_the_known_values(k: int, n: int, expected: tuple[float, float]) -> None:
    found = confidence_sequence(k, n)
    assert (found.low, found.high) == pytest.approx(expected, abs=0.006)


def test_confidence_sequence_is_where_the_mixture_has_not_refuted_the_rate() -> None:
    # The Bayes factor of a uniform mixture is computed by sums over all orders instead of beta functions.
    grid = np.linspace(1e-6, 1 - 1e-6, 200_001)
    for k, n in [(0, 5), (2, 5), (5, 5), (9, 30)]:
        likelihood = grid**k * (1 - grid) ** (n - k)
        kept = grid[likelihood.mean() / likelihood < 20]
        found = confidence_sequence(k, n)
        assert (found.low, found.high) == pytest.approx((kept[0], kept[-1]), abs=2e-5)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3, 0.5, 0.7])
def test_peeking_is_free_with_a_confidence_sequence_and_is_not_with_wilson(rate: float) -> None:
    draws = np.random.default_rng(1).random((10_000, 40)) < rate
    counts = np.cumsum(draws, axis=1)
    missed = {kind: np.zeros(len(draws), bool) for kind in ("anytime", "wilson")}
    for n in range(3, 41):
        for kind, seen in missed.items():
            outside = np.array([rate not in interval(kind, k, n) for k in range(n + 1)])  # type: ignore[arg-type]
            seen |= outside[counts[:, n - 1]]
    assert missed["anytime"].mean() <= 0.05
    assert missed["wilson"].mean() > 0.1


@pytest.mark.parametrize("kind", OF_COUNTS)
def test_no_trials_say_nothing(kind: str) -> None:
    nothing = interval(kind, 0, 0)  # type: ignore[arg-type]
    assert (nothing.low, nothing.high, nothing.kind, nothing.width) == (0, 1, kind, 1)


@pytest.mark.parametrize("k, n, level", [(-1, 3, 0.95), (4, 3, 0.95), (1, 3, 1.0), (1, 3, 0.0)])
@pytest.mark.parametrize("kind", OF_COUNTS)
def test_impossible_counts_and_levels_are_refused(kind: str, k: int, n: int, level: float) -> None:
    with pytest.raises(ValueError, match="between 0 and"):
        interval(kind, k, n, level)  # type: ignore[arg-type]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'wald' must be one of blaker"):
        interval("wald", 1, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("a, b", [(0, 1), (1, -1)])
def test_an_improper_mixture_is_refused(a: float, b: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        confidence_sequence(1, 3, a=a, b=b)
