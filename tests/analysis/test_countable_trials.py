"""The trials that are counted, and the choice of the interval."""

from __future__ import annotations

import pytest

from analysis.questions.countable_trials import countable_trials, interval_reason
from core.records import TrialRecord, Verdict


def trial(seed, allocation="fixed", cell="a", done=True):
    return TrialRecord(
        sweep="s",
        cell_id=cell,
        cell={},
        seed=seed,
        allocation=allocation,
        protocol={},
        status="finished" if done else "running",
        verdict=Verdict(outcome="stable", onset=False) if done else None,
        epochs_planned=1,
        epochs_run=1,
    )


def test_a_fixed_design_that_has_ended_counts_everything():
    records = [trial(0), trial(2), trial(9)]
    assert countable_trials(records) == (records, "blaker")


def test_while_it_runs_trials_that_overtook_one_of_their_cell_wait():
    records = [trial(0), trial(2), trial(1, done=False), trial(2, cell="b")]
    assert countable_trials(records) == ([trial(0), trial(1, done=False), trial(2, cell="b")], "blaker")


def test_an_adaptive_one_counts_up_to_a_cell_s_first_seed_without_a_result():
    adaptive = [trial(seed, "adaptive", cell) for cell, seed in [("a", 5), ("a", 6), ("a", 8), ("b", 6)]]
    running = trial(7, "fixed", "a", done=False)  # The record of a running trial does not contain the allocation.
    counted, interval = countable_trials([*adaptive, running])
    assert interval == "anytime"
    assert [(r.cell_id, r.seed) for r in counted] == [("a", 5), ("a", 6), ("a", 7)]


def test_trials_that_share_pinned_seeds_are_counted_in_groups():
    groups = [trial(seed).model_copy(update={"pins": {"init": seed // 2}}) for seed in range(4)]
    assert countable_trials(groups) == (groups, "clustered")
    assert interval_reason("clustered", groups) == "trials that share a pinned seed are not independent"
    assert "it is probably too narrow" in interval_reason("wilson", groups)
    assert countable_trials(groups[:2])[1] == "blaker"


@pytest.mark.parametrize(
    "allocation, interval, said",
    [
        ("fixed", "blaker", "the number of seeds was fixed in advance"),
        ("fixed", "wilson", "at rates near 0 and 1 it misses more often"),
        ("fixed", "clopper-pearson", "the number of seeds was fixed in advance"),
        ("fixed", "anytime", "the narrower blaker interval holds too"),
        ("adaptive", "anytime", "looked at its results before it chose"),
        ("adaptive", "wilson", "its coverage is lower than its level"),
    ],
)
def test_the_reason_fits_the_design(allocation, interval, said):
    assert said in interval_reason(interval, [trial(0, allocation)])
