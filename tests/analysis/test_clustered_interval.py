"""The interval for groups of trials, compared with exact probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import combinations_with_replacement, product
from math import factorial, prod

import numpy as np
import pytest
from scipy.stats import betabinom, binom

from analysis.questions.rates import cell_rates
from analysis.statistics.clustered_interval import clustered, clustered_anytime
from analysis.statistics.intervals import Interval, clopper_pearson, confidence_sequence, interval
from core.records import TrialRecord

RATES = np.linspace(0.02, 0.5, 25)
"""Rates up to 1/2. Rates above 1/2 are symmetric."""


def group_probabilities(size: int, rate: float, alike: float) -> list[float]:
    """Probabilities of 0 to ``size`` unstable trials if group rates are beta-distributed with correlation ``alike``."""
    if alike in (0, 1):
        return (
            [1 - rate, *[0.0] * (size - 1), rate]
            if alike
            else [float(binom.pmf(k, size, rate)) for k in range(size + 1)]
        )
    strength = 1 / alike - 1
    return [float(betabinom.pmf(k, size, rate * strength, (1 - rate) * strength)) for k in range(size + 1)]


def coverage(of: Callable[[tuple[int, ...]], Interval], groups: int, size: int, alike: float) -> np.ndarray:
    """The exact coverage at each of `RATES`."""
    outcomes = {hits: of(hits) for hits in combinations_with_replacement(range(size + 1), groups)}
    found = []
    for rate in RATES:
        single = group_probabilities(size, rate, alike)
        found.append(
            sum(
                factorial(groups) / prod(map(factorial, Counter(hits).values())) * prod(single[k] for k in hits)
                for hits, interval in outcomes.items()
                if rate in interval
            )
        )
    return np.array(found)


@pytest.mark.parametrize("groups, size", [(3, 3), (6, 3), (8, 2), (4, 6)])
def test_coverage_holds_however_alike_the_trials_of_a_group_are(groups: int, size: int) -> None:
    for alike in (0, 0.2, 0.6, 1):
        found = coverage(lambda hits: clustered([(k, size) for k in hits]), groups, size, alike)
        assert found.min() > 0.94, (alike, found)
    ignored = coverage(lambda hits: interval("wilson", sum(hits), groups * size), groups, size, 1)
    assert ignored.mean() < 0.9, "which intervals for independent trials don't"


def test_groups_that_agree_count_as_one_trial_each_and_equal_ones_at_most_as_all() -> None:
    unanimous = clustered([(0, 3)] * 5)
    assert (unanimous.low, unanimous.high) == pytest.approx((0, clopper_pearson(0, 5).high))
    differing = clustered([(3, 3)] * 2 + [(0, 3)] * 3)
    assert (differing.low, differing.high) == pytest.approx((clopper_pearson(2, 5).low, clopper_pearson(2, 5).high))
    same = clustered([(1, 3)] * 5)
    assert (same.low, same.high) == pytest.approx((clopper_pearson(5, 15).low, clopper_pearson(5, 15).high))
    assert clustered([]).width == clustered([(0, 0)]).width == 1


def test_rates_of_pinned_sweeps_know_their_groups(record: Callable[..., TrialRecord]) -> None:
    outcomes = {(7, 0): "unstable", (7, 1): "unstable", (8, 2): "stable", (8, 3): "unstable", (9, 4): "stable"}
    trials = [record(s, outcome, fields={"pins": {"init": pin}}) for (pin, s), outcome in outcomes.items()]
    trials.append(record(5, "censored", fields={"pins": {"init": 9}}))
    (rate,) = cell_rates(trials, interval="clustered")
    assert rate.interval == clustered([(2, 2), (1, 2), (0, 1)])
    free = [trial.model_copy(update={"pins": {}}) for trial in trials]
    (rate,) = cell_rates(free, interval="clustered")
    assert rate.interval == clustered([(1, 1)] * 3 + [(0, 1)] * 2)


@pytest.mark.parametrize("alike", [0, 0.3, 1])
def test_groups_may_be_added_after_a_look(alike: float) -> None:
    """Exact over four groups of three: the chance that the interval misses after any group is at most 5 %."""
    size, groups = 3, 4
    ends = {
        hits: clustered_anytime([(k, size) for k in hits])
        for n in range(1, groups + 1)
        for hits in combinations_with_replacement(range(size + 1), n)
    }
    for rate in RATES[::4]:
        single = group_probabilities(size, rate, alike)
        missed = sum(
            prod(single[k] for k in path)
            for path in product(range(size + 1), repeat=groups)
            if any(rate not in ends[tuple(sorted(path[:n]))] for n in range(1, groups + 1))
        )
        assert missed <= 0.05
    assert clustered_anytime([(3, 3)] * 4).high == 1
    assert clustered_anytime([(k, 1) for k in (1, 0, 1)]).low == confidence_sequence(2, 3).low
