"""The number of trials at once follows a cluster whose nodes join and leave."""

from __future__ import annotations

import pytest
from ray.tune.search import Searcher

from core.cluster.capacity import Capacity
from core.sweep import concurrency as module
from core.sweep.concurrency import Concurrency
from core.sweep.trial_queue import TrialQueue


def holding(trials: int) -> Capacity:
    return Capacity(by_ranks=trials, by_memory=1000, later=0, by_head=None)


@pytest.mark.parametrize(
    ("capacity", "limit", "wanted"),
    [
        (holding(4), None, 4),
        (holding(0), None, 1),
        (holding(4), 2, 2),
        (holding(1), 16, 16),
        (Capacity(by_ranks=1, by_memory=9, later=5, by_head=None), None, 5),
        # A trial above the memory's bound would be started on a node that has no room for it.
        (Capacity(by_ranks=8, by_memory=3, later=0, by_head=None), 16, 3),
        (Capacity(by_ranks=8, by_memory=3, later=0, by_head=None), 2, 2),
        (Capacity(by_ranks=8, by_memory=9, later=0, by_head=6), 16, 6),
    ],
)
def test_trials_wait_for_nodes_up_to_the_given_limit(capacity: Capacity, limit: int | None, wanted: int) -> None:
    assert capacity.wanted(limit) == wanted


def test_as_many_trials_are_suggested_as_the_nodes_of_the_moment_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    nodes = [1]
    concurrency = Concurrency(TrialQueue({"trial": n} for n in range(9)), lambda: holding(nodes[0]), None)
    begun: list[str] = []

    def begin() -> int:
        """Start trials until there are enough, and return how many started."""
        before = len(begun)
        while concurrency.limiter.suggest(f"t{len(begun)}") not in (None, Searcher.FINISHED):
            begun.append(f"t{len(begun)}")
        return len(begun) - before

    def look(count: int) -> str | None:
        nodes[0] = count
        now[0] += module.LOOK_EVERY_S
        return concurrency.look()

    assert begin() == 1
    assert look(3) == "The cluster has changed: 3 at a time"
    assert begin() == 2
    assert look(3) is None
    assert look(1) == "The cluster has changed: 1 at a time"
    assert begin() == 0
    for name in ("t0", "t1"):
        concurrency.limiter.on_trial_complete(name)
        assert begin() == 0
    concurrency.limiter.on_trial_complete("t2")
    assert begin() == 1


@pytest.mark.parametrize(
    ("limit", "fitting", "room"),
    [(None, 3, [True, True, True, False]), (2, 3, [True, True, False, False]), (None, 1, [True, False, False, False])],
)
def test_there_is_room_for_what_the_running_nodes_hold_up_to_the_limit(
    limit: int | None, fitting: int, room: list[bool]
) -> None:
    concurrency = Concurrency(TrialQueue({"trial": n} for n in range(9)), lambda: holding(3), limit)
    assert [concurrency.has_room(placed, fitting) for placed in range(4)] == room
