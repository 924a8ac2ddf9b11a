from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from core.allocation import AllocationGoal, CellTruth, Certainty, StoppingPolicy, SyntheticTrials, simulate

ONSETS = (10, 20, 60, 99)


def many(truth: CellTruth, policy: StoppingPolicy, trials: int = 4000, **options):
    goal = AllocationGoal(max_trials=trials, give_up=trials)
    certainty = Certainty(goal, lambda unstable, finished: (0.0, 1.0))
    return simulate(SyntheticTrials((truth,), seed=5), certainty, policy, **options)


def test_rate_and_cost_of_stopping_agree_with_their_expectation():
    truth = CellTruth(rate=0.4, epochs=100, onset_epochs=ONSETS, seconds_per_epoch=2.0)
    swept = many(truth, StoppingPolicy(confirm_delay=3))
    unstable, finished = swept.counts[0]
    assert finished == 4000
    assert binomtest(unstable, finished, 0.4).pvalue > 1e-3
    stopped_at = np.array([13, 23, 63, 100])  # The last onset cannot be confirmed before the last epoch.
    expected = 0.6 * 100 + 0.4 * stopped_at.mean()
    spread = np.sqrt((0.6 * 100**2 + 0.4 * (stopped_at**2).mean() - expected**2) / finished)
    assert abs(swept.epochs / finished - expected) < 4 * spread
    assert swept.device_seconds == 2.0 * swept.epochs
    assert {trial.epochs for trial in swept.trials if trial.stopped} == {13, 23, 63}


def test_without_stopping_every_trial_runs_to_the_end():
    truth = CellTruth(rate=0.5, epochs=100, onset_epochs=ONSETS)
    assert many(truth, StoppingPolicy(stop=False)).epochs == 4000 * 100


def test_audited_trials_run_to_the_end_and_may_heal():
    truth = CellTruth(rate=1.0, epochs=100, onset_epochs=(10,), healing=0.3)
    swept = many(truth, StoppingPolicy(audit=0.25))
    audited = [trial for trial in swept.trials if trial.audited]
    assert binomtest(len(audited), 4000, 0.25).pvalue > 1e-3
    assert {trial.epochs for trial in audited} == {100}
    assert {trial.epochs for trial in swept.trials if not trial.audited} == {12}
    healed = sum(trial.outcome == "healed" for trial in audited)
    assert binomtest(healed, len(audited), 0.3).pvalue > 1e-3
    assert not any(trial.outcome == "healed" for trial in swept.trials if not trial.audited)
    assert swept.counts == [(4000, 4000)]  # This counts all trials with an onset, healed or not.


@pytest.mark.parametrize(("per", "expected"), [("trial", 0.2), ("epoch", 0.2 * (0.5 + 0.5 * 0.12))])
def test_share_of_censored_trials(per, expected):
    truth = CellTruth(rate=0.5, epochs=100, onset_epochs=(10,), censored=0.2, censored_per=per)
    swept = many(truth, StoppingPolicy())
    censored = sum(trial.outcome == "censored" for trial in swept.trials)
    assert binomtest(censored, 4000, expected).pvalue > 1e-3
    early = [t for t in swept.trials if t.outcome == "censored" and (t.onset is None or t.epochs < 10)]
    assert swept.counts[0][1] == 4000 - len(early) > 4000 - censored, "an onset that was seen before a crash counts"
    assert all(trial.ever_unstable is None for trial in early)


def test_wall_time_with_concurrent_trials():
    truth = CellTruth(rate=0.0, epochs=10, onset_epochs=(), seconds_per_epoch=3.0)
    assert many(truth, StoppingPolicy(), trials=20, concurrency=8).wall_seconds == 3 * 30.0
    assert many(truth, StoppingPolicy(), trials=20, concurrency=1).wall_seconds == 20 * 30.0


def test_what_a_trial_does_depends_on_cell_and_seed_only(anytime, table_2):
    certainty = Certainty(AllocationGoal(until_width=0.6), anytime)
    trials = [
        simulate(SyntheticTrials(table_2, seed=3), certainty, StoppingPolicy(audit=0.2), concurrency=concurrency).trials
        for concurrency in (1, 1, 7)
    ]
    assert trials[0] == trials[1]
    alone, crowded = ({(t.cell, t.seed): t for t in swept} for swept in (trials[0], trials[2]))
    common = alone.keys() & crowded.keys()
    assert len(common) > 60
    assert all(alone[key] == crowded[key] for key in common)


def test_a_pilot_counts_and_its_seeds_are_not_trained_again(anytime):
    truth = CellTruth(rate=0.0, epochs=10, onset_epochs=())
    certainty = Certainty(AllocationGoal(until_width=0.4), anytime)
    swept = simulate(SyntheticTrials((truth,), seed=0), certainty, StoppingPolicy(), pilot=[(0, 4)])
    assert [trial.seed for trial in swept.trials] == [4, 5, 6]
    assert swept.counts == [(0, 7)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0.5, "onset_epochs": ()}, "rate 0.5 needs onset_epochs"),
        ({"rate": 0.5, "onset_epochs": (5, 51)}, "must be between 1 and epochs 50"),
        ({"rate": 1.5, "onset_epochs": (5,)}, "rate"),
    ],
)
def test_impossible_truths_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CellTruth(epochs=50, **options)
