"""What a crash counts against: simulated nodes and trials, and Ray's own texts of real crashes."""

from __future__ import annotations

from collections import Counter

import pytest

from core.sweep.crashes import MAX_UNCOUNTED, Crashes

RESTARTS = 2


class Cluster:
    """Trials that are tried again up to `RESTARTS` times, as Tune does it, on nodes of which some are broken."""

    def __init__(self, limit: int = 1000) -> None:
        self.crashes = Crashes(limit)
        self.failures: Counter[str] = Counter()
        self.failing_nodes: list[str] = []

    def crash(self, trial: str, *nodes: str, at_once: int = 1, elsewhere: bool = True) -> bool:
        """One crash on these nodes; True if the trial may start again."""
        self.failures[trial] += 1
        again = self.failures[trial] <= RESTARTS
        decision = self.crashes.crashed(trial, nodes, at_once, elsewhere)
        self.failures[trial] -= not decision.counts
        self.failures.subtract(decision.uncounted)
        self.failing_nodes += decision.failing_nodes
        return again


def test_a_broken_node_is_suspected_at_the_second_crash_and_costs_no_trial_its_restarts() -> None:
    cluster = Cluster()
    assert cluster.crash("a", "bad")
    assert not cluster.failing_nodes
    assert cluster.crash("b", "bad")
    assert cluster.failing_nodes == ["bad"]
    assert cluster.failures == {"a": 0, "b": 0}
    assert all(cluster.crash(trial, "bad") for trial in ("a", "b", "c", "a"))
    assert not +cluster.failures


def test_a_crash_of_two_ranks_on_two_nodes_is_one_crash() -> None:
    cluster = Cluster()
    assert cluster.crash("a", "bad", "worse")
    assert cluster.failures == {"a": 1}
    assert cluster.crash("b", "worse", "bad")
    assert sorted(cluster.failing_nodes) == ["bad", "worse"]
    assert cluster.failures == {"a": 0, "b": 0}


def test_an_epoch_of_a_group_clears_the_nodes_of_all_its_ranks() -> None:
    cluster = Cluster()
    cluster.crash("a", "one", "two")
    cluster.crashes.progressed("b", ["two", "three"])
    cluster.crash("c", "one", "two")
    assert cluster.failing_nodes == ["one"]


def test_a_crash_without_a_known_node_counts_against_its_trial() -> None:
    cluster = Cluster()
    assert [cluster.crash("group") for _ in range(3)] == [True, True, False]
    assert not cluster.failing_nodes


def test_a_trial_that_crashes_everywhere_is_censored() -> None:
    cluster = Cluster()
    assert cluster.crash("poison", "one")
    assert cluster.crash("poison", "one")
    assert cluster.crash("poison", "two")
    assert not cluster.crash("poison", "three")
    assert cluster.failing_nodes == ["one"]


def test_a_trial_that_finds_only_a_broken_node_free_is_not_censored() -> None:
    cluster = Cluster()
    assert all(cluster.crash("patient", "bad") for _ in range(MAX_UNCOUNTED))
    assert cluster.failures["patient"] == 1


def test_a_trial_without_another_node_is_censored_after_its_restarts() -> None:
    cluster = Cluster()
    assert [cluster.crash("poison", "only", elsewhere=False) for _ in range(3)] == [True, True, False]


def test_an_epoch_clears_its_node() -> None:
    cluster = Cluster()
    for trial in "abcdef":
        assert cluster.crash(trial, "good")
        cluster.crashes.progressed("other", ["good"])
    assert not cluster.failing_nodes
    assert all(count == 1 for count in cluster.failures.values())


def test_a_trial_is_not_excused_for_ever() -> None:
    cluster = Cluster()
    cluster.crash("other", "bad")
    for _ in range(MAX_UNCOUNTED):
        assert cluster.crash("poison", "bad")
        cluster.crashes.progressed("other", ["good"])
    assert cluster.failures["poison"] == 0
    assert cluster.crash("poison", "bad")
    assert cluster.crash("poison", "bad")
    assert not cluster.crash("poison", "bad")


def test_lost_nodes_are_not_crashes_and_stop_no_sweep() -> None:
    crashes = Crashes(limit=2)
    for trial in "abcdefgh":
        decision = crashes.lost_node(trial)
        assert not decision.counts
        assert not decision.stop_sweep
    assert crashes.number == 0


@pytest.mark.parametrize(("limit", "at_once", "stops_at"), [(10, 1, 10), (10, 16, 32), (3, 1, 3)])
def test_a_sweep_in_which_all_trials_crash_stops(limit: int, at_once: int, stops_at: int) -> None:
    crashes = Crashes(limit)
    number = next(
        n for n in range(1, 100) if crashes.crashed(f"trial {n % 3}", [f"node {n % 2}"], at_once, True).stop_sweep
    )
    assert number == stops_at


def test_one_trial_alone_stops_no_sweep() -> None:
    crashes = Crashes(limit=2)
    assert not any(crashes.crashed("poison", ["node"], 1, False).stop_sweep for _ in range(50))
    assert crashes.crashed("another", ["node"], 1, False).stop_sweep
