from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from analysis.questions.early_stopping_bias import audit_stopper, corrected_rates, healing_of_stoppable
from analysis.statistics.intervals import clopper_pearson, confidence_sequence
from analysis.statistics.melded_interval import anytime_product, melded_product
from core.records import TrialRecord

melded = lru_cache(None)(melded_product)
anytime = lru_cache(None)(anytime_product)


@pytest.fixture(scope="session")
def trial(record: Callable) -> Callable[..., TrialRecord]:
    @lru_cache(None)
    def make(outcome: str, confirmed: bool, audit: bool) -> TrialRecord:
        """A trial of a sweep with stopping. A confirmed alarm ends it as `unstable`, except in the audit arm."""
        stopped = confirmed and not audit
        return record(
            0,
            "unstable" if stopped else outcome,
            onsets=(3,) if confirmed else (),
            confirmed_epoch=4 if confirmed else None,
            epochs_run=4 if stopped else 10,
            fields={"audit": audit, "stopped_early": stopped},
        )

    return make


def test_stopper_is_judged_on_trials_it_could_not_stop(trial: Callable, record: Callable) -> None:
    audited = [("unstable", True)] * 5 + [("healed", True)] * 2 + [("stable", False)] * 6 + [("unstable", False)]
    records = [trial(outcome, confirmed, True) for outcome, confirmed in audited]
    records += [trial("unstable", True, False)] * 3 + [trial("stable", False, False)] * 4
    records += [record(9, "censored", fields={"audit": True}), record(9, None, fields={"audit": True})]
    found = audit_stopper(records)
    assert found.audited == 14
    assert (found.false_alarms.k, found.false_alarms.n) == (2, 8)
    assert (found.self_healing.k, found.self_healing.n) == (2, 7)
    assert (found.misses.k, found.misses.n) == (1, 6)
    assert found.self_healing.interval == clopper_pearson(2, 7)
    assert "would have been stopped?" in found.false_alarms.question


def test_a_sweep_that_never_stops_is_all_audit(record: Callable) -> None:
    ran_on = [record(0, "healed", onsets=(2,), confirmed_epoch=3, protocol={"stop": False})]
    assert audit_stopper(ran_on).self_healing.k == 1
    (found,) = corrected_rates(ran_on)
    assert (found.rate, found.ever.rate) == (0, 1)
    assert found.interval == clopper_pearson(0, 1)


def test_corrected_rate_is_hajeks_weighted_mean(trial: Callable) -> None:
    records = [trial("unstable", True, True)] * 2 + [trial("healed", True, True)] + [trial("unstable", True, False)] * 9
    records += [trial("stable", False, False)] * 7 + [trial("unstable", False, True)]
    (found,) = corrected_rates(records)
    weights = np.array([4.0, 4.0, 4.0] + [1.0] * 8)  # 3 of the 12 stoppable trials train to the last epoch.
    unstable = np.array([1, 1, 0] + [0] * 7 + [1])
    assert found.rate == pytest.approx(weights @ unstable / weights.sum())
    assert (found.trials, found.stoppable, found.followed) == (20, 12, 3)
    assert (found.ever.k, found.ever.n) == (13, 20)
    assert found.rate in found.interval


def test_without_a_followed_trial_only_bounds_are_known(trial: Callable) -> None:
    (found,) = corrected_rates([trial("unstable", True, False)] * 4 + [trial("stable", False, False)] * 6)
    assert found.rate is None
    assert found.interval.low == pytest.approx(0, abs=1e-9)
    assert found.interval.high == pytest.approx(clopper_pearson(4, 10).high, abs=1e-3)


def test_audited_trials_of_all_cells_are_pooled(trial: Callable) -> None:
    def cell(beta: float, healed: int, followed: int) -> list[TrialRecord]:
        found = [trial("healed", True, True)] * healed + [trial("unstable", True, True)] * (followed - healed)
        found += [trial("unstable", True, False)] * (10 - followed)
        return [r.model_copy(update={"cell_id": str(beta), "cell": {**r.cell, "beta": beta}}) for r in found]

    alike = [*cell(1, 1, 2), *cell(2, 1, 2), *cell(3, 0, 0)]
    assert healing_of_stoppable(alike)[:2] == (2, 4)
    assert [(found.rate, found.followed, found.representatives) for found in corrected_rates(alike)] == [
        (0.5, 2, 4),
        (0.5, 2, 4),
        (0.5, 0, 4),
    ]
    assert corrected_rates(alike)[0].interval.width < corrected_rates(alike[:10])[0].interval.width
    different = [*cell(1, 7, 7), *cell(2, 0, 7)]
    assert not healing_of_stoppable(different).pooled
    assert [found.rate for found in corrected_rates(different)] == [0.0, 1.0]


def test_without_a_finished_trial_nothing_is_known(record: Callable) -> None:
    (found,) = corrected_rates([record(0, None)])
    assert (found.rate, found.interval.low, found.interval.high, found.ever.rate) == (None, 0, 1, None)


@pytest.mark.parametrize("k, n", [(0, 5), (3, 10), (10, 10)])
def test_melding_reduces_to_clopper_pearson_when_nothing_is_stopped(k: int, n: int) -> None:
    exact, found = clopper_pearson(k, n), melded_product((k, n), (0, k), (0, 0), 0.95)
    assert found.high == pytest.approx(exact.high, abs=2e-3)
    if k:  # A recovery that could not be observed cannot be excluded.
        assert found.low <= exact.low


def test_melded_quantiles_agree_with_a_large_random_sample() -> None:
    rng = np.random.default_rng(0)
    u, v, c = rng.beta(5, 6, 1_000_000), rng.beta(5, 1, 1_000_000), rng.beta(2, 2, 1_000_000)
    found = melded_product((5, 10), (4, 5), (1, 3), 0.95)
    assert found.low == pytest.approx(np.quantile(u * (1 - v * c), 0.025), abs=0.004)


def exact_coverage(n: int, stop: float, missed: float, fine: float, followed: float, method: Callable) -> float:
    """Exact coverage: a sum over the binomial numbers of stoppable, audited, recovered and other unstable trials."""
    truth, covered = stop * (1 - fine) + (1 - stop) * missed, 0.0
    stoppable, healed = binomial(n, stop), [binomial(m, fine) for m in range(n + 1)]
    for s in range(n + 1):
        unstable, audited = binomial(n - s, missed), binomial(s, followed)
        for k, m in product(range(n - s + 1), range(s + 1)):
            weight = stoppable[s] * unstable[k] * audited[m]
            for f in range(m + 1):
                covered += weight * healed[m][f] * (truth in method((s + k, n), (s, s + k), (f, m), 0.95))
    return covered


def binomial(n: int, p: float) -> list[float]:
    """Probabilities of 0 to ``n`` successes."""
    return list(binom.pmf(range(n + 1), n, p))


@pytest.mark.parametrize("followed", [0.2, 1.0])
@pytest.mark.parametrize("stop, fine", [(0.05, 0.5), (0.5, 0.05), (0.5, 0.5), (0.95, 0.05), (0.95, 0.9)])
def test_corrected_interval_covers_at_small_n(stop: float, fine: float, followed: float) -> None:
    for missed in (0.0, 0.1):
        assert exact_coverage(4, stop, missed, fine, followed, melded) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("followed", [0.2, 0.5])
@pytest.mark.parametrize("stop", [0.05, 0.3, 0.6, 0.95])
def test_corrected_interval_covers_at_ten_trials(stop: float, followed: float) -> None:
    for missed, fine in product((0.0, 0.1), (0.02, 0.2, 0.5, 0.9)):
        assert exact_coverage(10, stop, missed, fine, followed, melded) >= 0.95


@pytest.mark.parametrize("fine", [0.0, 0.4])
@pytest.mark.slow
def test_corrected_estimate_is_unbiased_where_the_naive_rate_is_not(
    trial: Callable, record: Callable, fine: float
) -> None:
    rng, n, stop, audit, crash = np.random.default_rng(2), 60, 0.6, 0.3, 0.1
    estimates, naive = [], []
    crashed = record(0, "censored", censor_reason="crashed: test")
    for _ in range(150):
        confirmed, audited = rng.random(n) < stop, rng.random(n) < audit
        ends = np.where(confirmed & (rng.random(n) >= fine), "unstable", "stable")
        lost = rng.random(n) < crash
        sweep = [crashed if x else trial(*t) for x, *t in zip(lost, map(str, ends), confirmed, audited, strict=True)]
        (found,) = corrected_rates(sweep)
        estimates.append(found.rate)
        naive.append(sum(r.verdict.outcome == "unstable" for r in sweep) / found.trials)
    truth = stop * (1 - fine)
    assert np.mean(estimates) == pytest.approx(truth, abs=3.5 * np.std(estimates) / 150**0.5)
    if fine:
        assert np.mean(naive) - truth > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "missed", "fine"), [(0.05, 0.02, 0.5), (0.4, 0.1, 0.3), (0.9, 0.0, 0.05)])
def test_anytime_interval_holds_at_every_look(rate: float, missed: float, fine: float) -> None:
    rng, audit = np.random.default_rng(3), 0.3
    truth = rate * (1 - fine) + (1 - rate) * missed
    misses, sweeps = 0, 10_000
    for _ in range(sweeps):
        stoppable, unstable = rng.random(40) < rate, rng.random(40) < missed
        followed, healed = rng.random(40) < audit, rng.random(40) < fine
        s, e = np.cumsum(stoppable), np.cumsum(stoppable | unstable)
        m, f = np.cumsum(stoppable & followed), np.cumsum(stoppable & followed & healed)
        looks = [((int(e[i]), i + 1), (int(s[i]), int(e[i])), (int(f[i]), int(m[i])), 0.95) for i in range(4, 40, 5)]
        misses += any(truth not in anytime(*look) for look in looks)
    assert misses / sweeps <= 0.05


def test_anytime_interval_shares_its_error_among_three_rates() -> None:
    u, v, c = (confidence_sequence(k, n, level=1 - 0.05 / 3) for k, n in [(6, 10), (5, 6), (1, 3)])
    found = anytime_product((6, 10), (5, 6), (1, 3), 0.95)
    assert (found.low, found.high) == pytest.approx((u.low * (1 - v.high * c.high), u.high * (1 - v.low * c.low)))


def test_an_alarm_confirmed_at_the_last_epoch_stops_nothing(record: Callable) -> None:
    (found,) = corrected_rates([record(0, "unstable", onsets=(9,), confirmed_epoch=10), record(1, "stable")])
    assert (found.stoppable, found.rate) == (0, 0.5)
