from __future__ import annotations

import pickle

import pytest

from analysis.statistics.intervals import clopper_pearson
from core.allocation import AllocationGoal, Certainty


def test_a_very_narrow_width_is_reached_by_the_anytime_interval(anytime):
    certainty = Certainty(AllocationGoal(until_width=0.05), anytime)
    assert certainty.design is None
    needed = next(n for n in range(500) if anytime(0, n)[1] <= 0.05)
    assert certainty.reached(0, needed)
    assert not certainty.reached(0, needed - 1)
    assert not certainty.reached(needed // 2, needed)


def test_another_goal_is_reached_where_its_design_ends(anytime):
    certainty = Certainty(AllocationGoal(until_width=0.684), anytime)
    assert [certainty.reached(*counts) for counts in ((0, 2), (0, 3), (1, 4), (1, 5), (3, 6))] == [
        *(False, True, False, True, False),
    ]


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
def test_projection_to_a_decision_agrees_with_a_search_one_by_one(anytime, counts):
    certainty = Certainty(AllocationGoal(until_decided=0.5, max_trials=100), anytime)
    unstable, finished = counts
    rate = (unstable + 0.5) / (finished + 1)

    def decided(more):
        return certainty.reached(unstable + round(more * rate), finished + more)

    searched = next(more for more in range(1, 300) if decided(more))
    projected = -certainty.priority(unstable, finished)
    # Rounding makes `decided` alternate near its limit, and the bisection may find a later decision.
    assert decided(projected)
    assert projected == 1 or not decided(projected - 1)
    assert searched <= projected <= searched + 5


def test_cells_that_will_hardly_be_decided_wait_for_those_that_will(anytime):
    certainty = Certainty(AllocationGoal(until_decided=0.5, max_trials=100), anytime)
    assert certainty.priority(0, 2) > certainty.priority(1, 4) > certainty.priority(10, 20)


def exact_bounds(unstable: int, finished: int) -> tuple[float, float]:
    interval = clopper_pearson(unstable, finished)
    return interval.low, interval.high


def test_it_can_be_pickled_after_use():
    certainty = Certainty(AllocationGoal(until_width=0.3), exact_bounds)
    certainty.reached(3, 10)
    copy = pickle.loads(pickle.dumps(certainty))
    assert copy.goal == certainty.goal
    assert copy.interval(3, 10) == certainty.interval(3, 10)
