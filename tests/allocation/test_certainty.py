from __future__ import annotations

import pickle
from math import inf

import pytest
from scipy.stats import binomtest

from analysis.statistics.intervals import clopper_pearson
from core.allocation import AllocationGoal, Certainty


def test_width_goal_is_reached_at_the_width(anytime):
    certainty = Certainty(AllocationGoal(until_width=0.42), anytime)
    assert certainty.reached(0, 10)  # mlflow-facts: 0/10 -> [0, .42]
    assert not certainty.reached(0, 9)
    assert not certainty.reached(5, 10)


def test_a_decided_cell_is_reached_whatever_its_width(anytime):
    certainty = Certainty(AllocationGoal(until_decided=0.5, until_width=0.1), anytime)
    assert certainty.reached(8, 8)
    assert certainty.reached(0, 8)
    assert not certainty.reached(7, 7)
    assert not certainty.reached(20, 40)


def test_a_mere_budget_is_never_certain(anytime):
    certainty = Certainty(AllocationGoal(max_trials=10), anytime)
    assert not certainty.reached(0, 10_000)


def test_widest_interval_goes_first(anytime):
    certainty = Certainty(AllocationGoal(until_width=0.1), anytime)
    by_need = sorted([(0, 10), (5, 10), (5, 50), (1, 2)], key=lambda counts: -certainty.priority(*counts))
    assert by_need == [(1, 2), (5, 10), (0, 10), (5, 50)]


@pytest.mark.parametrize("counts", [(0, 0), (0, 3), (1, 3), (2, 9), (9, 12)])
def test_projection_to_a_decision_agrees_with_a_search_one_by_one(counts):
    exact = lambda k, n: tuple(binomtest(k, n).proportion_ci(0.95)) if n else (0.0, 1.0)  # noqa: E731
    certainty = Certainty(AllocationGoal(until_decided=0.5, max_trials=100), exact)
    unstable, finished = counts
    rate = (unstable + 0.5) / (finished + 1)

    def decided(more):
        low, high = exact(unstable + round(more * rate), finished + more)
        return not low <= 0.5 <= high

    searched = next((more for more in range(1, 300) if decided(more)), inf)
    projected = -certainty.priority(unstable, finished)
    if searched == inf:
        assert projected == inf
    else:  # Rounding makes `decided` alternate near its limit, and the bisection may find a later decision.
        assert decided(projected)
        assert not decided(projected - 1)
        assert searched <= projected <= searched + 5


def test_cells_that_will_never_be_decided_wait_for_those_that_will(anytime):
    certainty = Certainty(AllocationGoal(until_decided=0.5, max_trials=100), anytime)
    assert certainty.priority(0, 3) > certainty.priority(1, 3) > certainty.priority(50, 100)
    assert certainty.priority(50, 100) == -inf


def exact_bounds(unstable: int, finished: int) -> tuple[float, float]:
    interval = clopper_pearson(unstable, finished)
    return interval.low, interval.high


def test_it_can_be_pickled_after_use():
    certainty = Certainty(AllocationGoal(until_width=0.3), exact_bounds)
    certainty.reached(3, 10)
    copy = pickle.loads(pickle.dumps(certainty))
    assert copy.goal == certainty.goal
    assert copy.interval(3, 10) == certainty.interval(3, 10)
