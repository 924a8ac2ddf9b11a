"""A sweep that is killed at any time and continued trains every (cell, seed) once, with the same knowledge."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.statistics.intervals import confidence_sequence
from core.allocation import FINISHED, AllocationGoal, CellTruth, Certainty, SeedAllocator, SyntheticTrials

GOAL = AllocationGoal(until_width=0.55)


def bounds(unstable: int, finished: int) -> tuple[float, float]:
    interval = confidence_sequence(unstable, finished)
    return interval.low, interval.high


CERTAINTY = Certainty(GOAL, bounds)
TRUTHS = tuple(CellTruth(rate=rate, epochs=20, onset_epochs=(5, 9)) for rate in (0.1, 0.5, 0.9))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    concurrency=st.integers(1, 6),
    kills=st.lists(st.integers(0, 60), max_size=4),
)
def test_every_trial_exactly_once(seed, concurrency, kills):
    truth = SyntheticTrials(TRUTHS, seed)
    order = random.Random(seed)
    finished: dict[tuple[int, int], bool] = {}
    steps = 0
    allocator = SeedAllocator(len(TRUTHS), CERTAINTY)
    running: list[tuple[int, int]] = []
    while True:
        while len(running) < concurrency and isinstance(trial := allocator.next_trial(), tuple):
            assert trial not in running
            running.append(trial)
        if not running:
            assert trial is FINISHED
            break
        if steps in kills:
            allocator = SeedAllocator(len(TRUTHS), CERTAINTY)
            known = list(finished.items())
            order.shuffle(known)
            for (cell, index), outcome in known:
                allocator.observe(cell, index, outcome, 1.0)
            running = []
            kills = [kill for kill in kills if kill != steps]
            continue
        steps += 1
        cell, index = running.pop(order.randrange(len(running)))
        assert (cell, index) not in finished
        finished[cell, index] = truth.onset(cell, index) is not None
        allocator.observe(cell, index, finished[cell, index], 1.0)
    for cell in range(len(TRUTHS)):
        indices = sorted(index for c, index in finished if c == cell)
        assert indices == list(range(len(indices)))
        assert allocator.counts(cell) == CERTAINTY.design.end(finished[cell, i] for i in indices)
        assert allocator.reached(cell)


def test_replay_in_any_order_gives_the_same_state():
    results = [(cell, seed, (cell + seed) % 3 == 0, 0.5) for cell in range(3) for seed in range(7)]
    states = []
    for shuffle in range(20):
        random.Random(shuffle).shuffle(results)
        allocator = SeedAllocator(3, CERTAINTY)
        for result in results:
            allocator.observe(*result)
        counts = [(allocator.counts(cell), allocator.censored(cell)) for cell in range(3)]
        states.append((counts, allocator.trials, allocator.device_hours, allocator.next_trial()))
    assert all(state == states[0] for state in states)


def test_seeds_lost_between_others_come_first():
    allocator = SeedAllocator(2, CERTAINTY)
    for cell, seed in [(0, 0), (0, 2), (1, 1), (1, 4)]:
        allocator.observe(cell, seed, True, 1.0)
    assert sorted(allocator.next_trial() for _ in range(4)) == [(0, 1), (1, 0), (1, 2), (1, 3)]
