from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.allocation import FINISHED, WAIT, AllocationGoal, Certainty, SeedAllocator
from core.allocation.cell_state import CellState


@pytest.fixture
def allocate(anytime):
    def build(cells: int, first_seed: int = 0, **goal) -> SeedAllocator:
        return SeedAllocator(cells, Certainty(AllocationGoal(**goal), anytime), first_seed)

    return build


def issue(allocator: SeedAllocator) -> list[tuple[int, int]]:
    """All trials that may start before any result is known."""
    issued = []
    while isinstance(trial := allocator.next_trial(), tuple):
        issued.append(trial)
        assert len(issued) < 1000
    return issued


def run(allocator: SeedAllocator, unstable, limit: int = 10_000) -> list[tuple[int, int]]:
    """Run one trial at a time, with outcomes `unstable(cell, seed)`."""
    done = []
    while isinstance(trial := allocator.next_trial(), tuple):
        allocator.observe(*trial, unstable(*trial), 60.0)
        done.append(trial)
        assert len(done) < limit
    assert trial is FINISHED
    return done


def test_every_cell_first_gets_its_minimum_seed_by_seed(allocate):
    allocator = allocate(3, until_width=0.2, min_seeds=2)
    assert [allocator.next_trial() for _ in range(6)] == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]


def test_seeds_are_paired_between_cells(allocate):
    allocator = allocate(3, first_seed=100, until_width=0.5)
    done = run(allocator, lambda cell, seed: (cell * seed) % 3 == 1)
    for cell in range(3):
        seeds = [seed for c, seed in done if c == cell]
        assert seeds == list(range(100, 100 + len(seeds)))


def test_seeds_go_to_the_cell_known_worst_and_end_at_the_width(allocate):
    allocator = allocate(2, until_width=0.4)
    run(allocator, lambda cell, seed: cell == 1 and seed % 2 == 0)
    design = allocator.certainty.design
    assert allocator.counts(0) == (0, 7)
    assert allocator.counts(1) == design.end(seed % 2 == 0 for seed in range(100))
    for cell in range(2):
        low, high = design.interval(*allocator.counts(cell))
        assert high - low <= 0.4
        assert allocator.reached(cell)


def test_pending_trials_count_as_if_finished(allocate):
    allocator = allocate(1, until_width=0.4)
    for seed in range(4):
        allocator.observe(0, seed, False, 1.0)
    assert issue(allocator) == [(0, 4), (0, 5), (0, 6)], "0/7 would be the end, so that no eighth trial starts yet"
    assert allocator.next_trial() is WAIT
    allocator.observe(0, 4, True, 1.0)
    assert issue(allocator), "1/7 is no end"


@given(
    resolved=st.dictionaries(st.integers(0, 8), st.sampled_from([True, False, None]), max_size=6),
    pending=st.sets(st.integers(0, 8), max_size=5),
)
def test_the_chance_that_a_seed_is_needed_is_that_of_all_results(resolved, pending):
    """Against the sum over all results of the pending trials that leave the cell open."""
    certainty = Certainty(AllocationGoal(until_width=0.684), lambda k, n: (0.0, 1.0))
    cell = CellState()
    for index, outcome in resolved.items():
        cell.resolve(index, outcome, 1.0, certainty.reached)
    cell.pending = pending - resolved.keys()
    before = range(cell.next_index())
    waiting = [index for index in before if index in cell.pending]
    assume(cell.first_reached is None)
    expected = 0.0
    for results in itertools.product([True, False], repeat=len(waiting)):
        outcomes = {**resolved, **dict(zip(waiting, results, strict=True))}
        unstable = finished = 0
        chance = 1.0
        for index in before:
            if index in waiting:
                rate = (unstable + 0.5) / (finished + 1)
                chance *= rate if outcomes[index] else 1 - rate
            if outcomes[index] is not None:
                unstable, finished = unstable + outcomes[index], finished + 1
                chance *= not certainty.reached(unstable, finished)
        expected += chance
    assert cell.chance_needed(certainty.reached) == pytest.approx(expected)


def test_results_behind_the_end_are_left_out(allocate):
    allocator = allocate(1, until_width=0.684)
    for seed in (3, 1, 4, 0, 2):
        allocator.observe(0, seed, seed > 2, 1.0)
    assert allocator.counts(0) == (0, 3)
    assert allocator.reached(0)
    assert allocator.next_trial() is FINISHED


def test_concurrent_trials_spread_over_cells_of_equal_need(allocate):
    allocator = allocate(4, max_trials=100, min_seeds=1)
    for cell in range(4):
        for seed in range(5):
            allocator.observe(cell, seed, seed < 2, 1.0)
    assert sorted(allocator.next_trial()[0] for _ in range(8)) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_finished_only_when_nothing_is_pending(allocate):
    allocator = allocate(1, max_trials=2)
    assert issue(allocator) == [(0, 0), (0, 1)]
    assert allocator.next_trial() is WAIT
    allocator.observe(0, 1, True, 1.0)
    assert allocator.next_trial() is WAIT
    allocator.observe(0, 0, None, 1.0)
    assert allocator.next_trial() is FINISHED
    assert allocator.next_trial() is FINISHED


def test_a_second_result_of_a_seed_is_ignored(allocate):
    allocator = allocate(1, max_trials=9)
    allocator.next_trial()
    allocator.observe(0, 0, True, 3600.0)
    allocator.observe(0, 0, False, 3600.0)
    allocator.observe(0, 0, None, 3600.0)
    assert (allocator.trials, allocator.censored(0)) == (1, 0)
    assert allocator.device_hours == 1
    assert allocator.counts(0) == (1, 1)


def test_a_censored_trial_consumes_its_seed_and_counts_for_nothing(allocate):
    allocator = allocate(1, max_trials=9)
    assert allocator.next_trial() == (0, 0)
    allocator.observe(0, 0, None, 1.0)
    assert allocator.next_trial() == (0, 1)
    allocator.observe(0, 1, True, 1.0)
    assert allocator.counts(0) == (1, 1)
    assert allocator.censored(0) == 1


def test_a_requeued_seed_is_the_next_one(allocate):
    allocator = allocate(2, max_trials=50)
    for _ in range(6):
        allocator.next_trial()
    allocator.requeue(1, 1)
    assert allocator.next_trial() == (1, 1)
    assert allocator.pending(1) == [0, 1, 2]


def test_counts_stop_at_the_first_seed_without_a_result(allocate):
    allocator = allocate(1, max_trials=5)
    issue(allocator)
    for seed in (1, 2, 4):
        allocator.observe(0, seed, True, 1.0)
    assert allocator.counts(0) == (0, 0)
    allocator.observe(0, 0, False, 1.0)
    assert allocator.counts(0) == (2, 3)
    allocator.observe(0, 3, None, 1.0)
    assert allocator.counts(0) == (3, 4)


def test_a_cell_that_only_crashes_is_given_up_and_the_rest_goes_on(allocate):
    allocator = allocate(2, until_width=0.4, give_up=5)
    done = run(allocator, lambda cell, seed: None if cell == 0 else False)
    assert sum(cell == 0 for cell, _ in done) == 5
    assert not allocator.reached(0)
    assert allocator.reached(1)


def test_crashes_that_are_not_in_a_row_give_nothing_up(allocate):
    allocator = allocate(1, until_width=0.4, give_up=2)
    run(allocator, lambda cell, seed: None if seed % 2 else False)
    assert allocator.counts(0) == (0, 7)
    assert allocator.censored(0) == 6


def test_the_trial_budget_is_spent_exactly(allocate):
    allocator = allocate(3, max_trials=20)
    done = run(allocator, lambda cell, seed: (cell + seed) % 2 == 0)
    assert len(done) == len(set(done)) == allocator.trials == 20


def test_device_hours_count_pending_trials_at_their_cells_mean(allocate):
    allocator = allocate(1, max_device_hours=10, min_seeds=1)
    allocator.observe(0, 0, True, 3600.0)
    assert len(issue(allocator)) == 9
    for seed in range(1, 10):
        allocator.observe(0, seed, True, 3600.0)
    assert allocator.next_trial() is FINISHED
    assert allocator.device_hours == 10


def test_undecidable_cells_dont_swallow_the_budget(allocate):
    allocator = allocate(4, until_decided=0.5, max_trials=60)
    # Cell 0 alternates forever, and the other cells are clear.
    run(allocator, lambda cell, seed: seed % 2 == 0 if cell == 0 else cell == 1)
    assert [allocator.counts(cell)[1] for cell in (1, 2, 3)] == [3, 3, 3]
    assert allocator.counts(0) == (26, 51)


def test_seeds_before_the_first_are_refused(allocate):
    with pytest.raises(ValueError, match="seed 3 must be at least the sweep's first seed 10"):
        allocate(1, max_trials=5, first_seed=10).observe(0, 3, True, 1.0)
