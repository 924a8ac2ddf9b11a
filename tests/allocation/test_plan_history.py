"""How a sweep's seeds were planned, and the trials and intervals that follow from it."""

from __future__ import annotations

import pytest

from analysis.questions.countable_trials import countable_trials, interval_reason
from analysis.questions.rates import cell_rates
from core.allocation import AllocationGoal, SeedHistory, SweepPlan, revised_plans
from core.records import TrialRecord, Verdict

TEN = SweepPlan.of({"a": 10}, None)
WIDTH = SweepPlan.of({}, AllocationGoal(until_width=0.684, max_trials=50))


@pytest.mark.parametrize(
    "plans, new, looked, expected",
    [
        ((), TEN, False, [TEN]),
        ((TEN,), SweepPlan.of({"a": 20}, None), False, [SweepPlan.of({"a": 20}, None)]),
        ((TEN,), SweepPlan.of({"a": 20}, None), True, [TEN, SweepPlan.of({"a": 20}, None)]),
        ((TEN,), SweepPlan.of({"a": 5, "b": 3}, None), True, [SweepPlan.of({"a": 10, "b": 3}, None)]),
        ((TEN,), WIDTH, True, [TEN, WIDTH]),
        ((WIDTH,), SweepPlan.of({}, AllocationGoal(until_width=0.684, max_trials=90)), True, [WIDTH]),
        ((SweepPlan(adaptive=True),), WIDTH, True, [SweepPlan(adaptive=True), WIDTH]),
    ],
)
def test_only_a_change_after_a_result_is_noted(plans, new, looked, expected):
    assert revised_plans(plans, new, looked=looked) == expected


def trial(seed: int, unstable: bool, allocation: str) -> TrialRecord:
    return TrialRecord(
        sweep="s",
        cell_id="a",
        cell={},
        seed=seed,
        allocation=allocation,
        protocol={},
        verdict=Verdict(outcome="unstable" if unstable else "stable", onset=unstable),
        epochs_planned=1,
        epochs_run=1,
    )


def test_a_continued_fixed_design_shows_anytime_intervals():
    records = [trial(seed, False, "fixed") for seed in range(5)]
    history = SeedHistory(0, revised_plans([SweepPlan.of({"a": 3}, None)], SweepPlan.of({"a": 5}, None), looked=True))
    counted, kind = countable_trials(records, history)
    assert (len(counted), kind) == (5, "anytime")
    assert interval_reason(kind, records, history) == "this sweep was given more seeds after results could be seen"
    assert "it misses more often" in interval_reason("blaker", records, history)


def test_a_cell_counts_up_to_the_end_of_its_design():
    records = [trial(seed, seed > 2, "adaptive") for seed in range(5)]
    counted, kind = countable_trials(records, SeedHistory(0, (WIDTH,)))
    assert (len(counted), kind) == (3, "sequential")
    (cell,) = cell_rates(counted, "ever", interval=kind, design=SeedHistory(0, (WIDTH,)).design)
    assert (cell.unstable, cell.trials, cell.interval.kind) == (0, 3, "sequential")
    assert cell.interval.high == pytest.approx(1 - 0.05 ** (1 / 3), abs=1e-3)


def test_before_its_end_and_after_a_change_of_mind_a_cell_has_an_anytime_interval():
    records = [trial(seed, seed == 1, "adaptive") for seed in range(4)]
    history = SeedHistory(0, (WIDTH,))
    counted, kind = countable_trials(records, history)
    (cell,) = cell_rates(counted, "ever", interval=kind, design=history.design)
    assert (kind, cell.interval.kind) == ("sequential", "anytime")
    assert countable_trials(records, SeedHistory(0, (TEN, WIDTH)))[1] == "anytime"
