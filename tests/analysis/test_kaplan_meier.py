from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight, survdiff
from statsmodels.stats.multitest import multipletests

from analysis.statistics.intervals import clopper_pearson
from analysis.statistics.kaplan_meier import kaplan_meier, log_rank
from analysis.statistics.multiple_testing import holm

# Freireich et al. 1963, remission of leukaemia in weeks (as printed in Cox and Oakes 1984); 0 marks censoring
CENSORED_AT = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
TREATED = ([6, 6, 6, 7, 10, 13, 16, 22, 23, *CENSORED_AT], [True] * 9 + [False] * 12)
PLACEBO = ([1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23], [True] * 21)


def test_log_rank_of_the_leukaemia_trial_is_the_published_one() -> None:
    statistic, p_value = log_rank([TREATED, PLACEBO])
    assert statistic == pytest.approx(16.79, abs=0.005)
    assert p_value == pytest.approx(4.17e-5, rel=0.01)


def test_kaplan_meier_of_the_leukaemia_trial_is_the_published_one() -> None:
    curve = kaplan_meier(*TREATED)
    assert list(curve.epochs) == [6, 7, 10, 13, 16, 22, 23]
    assert list(curve.at_risk) == [21, 17, 15, 12, 11, 7, 6]
    assert curve.survival == pytest.approx([0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], abs=5e-4)


def random_groups(seed: int, groups: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [(rng.integers(1, 15, 12), rng.random(12) < 0.6) for _ in range(groups)]


@pytest.mark.parametrize("seed", range(5))
def test_curves_and_tests_agree_with_scipy_and_statsmodels(seed: int) -> None:
    one, other, third = random_groups(seed, 3)
    curve = kaplan_meier(*one)
    theirs = SurvfuncRight(one[0], one[1].astype(int))
    assert curve.survival == pytest.approx(theirs.surv_prob)
    assert list(curve.at_risk) == list(theirs.n_risk)
    censored = [stats.CensoredData(uncensored=t[e], right=t[~e]) for t, e in (one, other)]
    assert log_rank([one, other])[1] == pytest.approx(stats.logrank(*censored).pvalue)
    labels = np.repeat([0, 1, 2], 12)
    times, events = (np.concatenate([g[i] for g in (one, other, third)]) for i in (0, 1))
    assert log_rank([one, other, third]) == pytest.approx(survdiff(times, events.astype(int), labels))


def test_interval_is_exact_without_censoring() -> None:
    curve = kaplan_meier([2, 3, 3, 5, 9, 9], [True, True, True, True, False, False])
    for epoch, alive in [(1, 6), (2, 5), (4, 3), (5, 2), (9, 2)]:
        survival, found = curve.survival_at(epoch)
        exact = clopper_pearson(alive, 6)
        assert survival == pytest.approx(alive / 6)
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_nothing_is_known_after_the_last_trial_was_seen() -> None:
    survival, found = kaplan_meier([3, 8], [True, False]).survival_at(9)
    assert survival is None
    assert found.low == 0


def test_what_has_happened_to_all_stays_so() -> None:
    survival, found = kaplan_meier([3, 5, 5], [True, True, True]).survival_at(9)
    exact = clopper_pearson(0, 3)
    assert survival == 0
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_beta_product_agrees_with_a_large_random_sample() -> None:
    rng, n = np.random.default_rng(0), 1_000_000
    # 12 at risk, 2 events; 4 censored; 6 at risk, 1 event; 2 censored
    curve = kaplan_meier([1, 1, 2, 2, 2, 2, 3, 4, 4, 5, 5, 5], [True, True] + [False] * 4 + [True] + [False] * 5)
    _, found = curve.survival_at(5)
    high = rng.beta(11, 2, n) * rng.beta(6, 1, n)
    low = high * rng.beta(3, 1, n)
    assert (found.low, found.high) == pytest.approx((np.quantile(low, 0.025), np.quantile(high, 0.975)), abs=0.015)


@pytest.mark.slow
@pytest.mark.parametrize("hazard, censoring", [(0.02, 0.05), (0.1, 0.0), (0.1, 0.1), (0.3, 0.1)])
def test_pointwise_intervals_cover_under_random_censoring(hazard: float, censoring: float) -> None:
    rng, last = np.random.default_rng(4), 10
    epochs, sweeps = (3, 6, 10), 10_000
    covered = np.zeros(len(epochs))
    for _ in range(sweeps):
        event, end = rng.geometric(hazard, 8), np.full(8, last)
        if censoring:
            end = np.minimum(rng.geometric(censoring, 8), last)
        curve = kaplan_meier(np.minimum(event, end), event <= end)
        covered += [(1 - hazard) ** epoch in curve.survival_at(epoch)[1] for epoch in epochs]
    assert (covered / sweeps).min() >= 0.95 - 2.5 * np.sqrt(0.05 * 0.95 / sweeps)


def test_estimate_is_the_one_for_interval_censored_data_on_a_shared_grid() -> None:
    # Iteration of Turnbull's self-consistency for events in (t - 1, t] and censoring after t.
    times, happened = random_groups(7, 1)[0]
    cells = np.arange(1, 17)  # Time 16 is after all events.
    possible = np.where(happened[:, None], cells == times[:, None], cells > times[:, None]).astype(float)
    mass = np.full(16, 1 / 16)
    for _ in range(20_000):
        share = possible * mass
        mass = (share / share.sum(axis=1, keepdims=True)).mean(axis=0)
    curve = kaplan_meier(times, happened)
    for epoch in range(1, int(curve.epochs[-1]) + 1):
        assert curve.survival_at(epoch)[0] == pytest.approx(1 - mass[:epoch].sum(), abs=1e-6)


def test_log_rank_without_events_finds_nothing() -> None:
    assert log_rank([([3, 4], [False, False]), ([5], [False])]) == (0, 1)


def test_a_curve_without_trials_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        kaplan_meier([], [])


@pytest.mark.parametrize("seed", range(3))
def test_holm_agrees_with_statsmodels(seed: int) -> None:
    p_values = np.random.default_rng(seed).random(9) ** 4
    assert holm(list(p_values)) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert holm([]) == []
