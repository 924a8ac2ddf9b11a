from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import betabinom

from analysis.questions.forecast import forecast
from analysis.questions.forecast_assumptions import pilot_of
from core.allocation import (
    AllocationGoal,
    CellTruth,
    Certainty,
    StoppingPolicy,
    SyntheticTrials,
    sequential_design,
    simulate,
)
from core.allocation.synthetic_records import synthetic_records
from core.config import Cell


def truth(rate: float, **options) -> CellTruth:
    return CellTruth(**{"rate": rate, "epochs": 100, "onset_epochs": (50,), "seconds_per_epoch": 36.0, **options})


def test_a_certain_outcome_is_forecast_exactly(anytime):
    found = forecast([truth(0.0)], AllocationGoal(until_width=0.4), anytime, price_per_device_hour=3.0, simulations=5)
    assert found.trials == (7, 7, 7, 7), "where the sequential design of this width ends"
    assert found.epochs.mean == 700
    assert found.device_hours.mean == found.wall_hours.mean == pytest.approx(7.0)
    assert found.money.mean == pytest.approx(21.0)
    assert found.reached == 1


def test_stopping_audit_and_concurrency_enter(anytime):
    goal = AllocationGoal(max_trials=10)
    stopped = forecast([truth(1.0)], goal, anytime, policy=StoppingPolicy(confirm_delay=10), simulations=5)
    assert stopped.epochs.mean == 600
    assert forecast([truth(1.0)], goal, anytime, policy=StoppingPolicy(stop=False), simulations=5).epochs.mean == 1000
    audited = forecast([truth(1.0)], goal, anytime, policy=StoppingPolicy(confirm_delay=10, audit=0.5), simulations=200)
    assert audited.epochs.mean == pytest.approx(800, abs=20)
    assert forecast([truth(1.0)], goal, anytime, concurrency=10, simulations=5).wall_hours.mean == pytest.approx(0.52)


def test_true_rates_are_drawn_from_the_pilots_posterior(anytime):
    """With a fixed number of further trials, the number of stable ones is beta-binomial under Jeffreys' prior."""
    found = forecast(
        [truth(0.5)],
        AllocationGoal(max_trials=20),
        anytime,
        policy=StoppingPolicy(confirm_delay=0),
        pilot=[(3, 10)],
        continue_pilot=False,
        simulations=4000,
    )
    unstable = betabinom(20, 3.5, 7.5)
    spread = 50 * unstable.std() / np.sqrt(4000)
    assert found.epochs.mean == pytest.approx(2000 - 50 * unstable.mean(), abs=4 * spread)
    assert found.epochs.low == pytest.approx(2000 - 50 * unstable.ppf(0.9), abs=50)
    assert found.epochs.high == pytest.approx(2000 - 50 * unstable.ppf(0.1), abs=50)


def test_a_continued_pilot_saves_its_trials(anytime):
    goal = AllocationGoal(until_width=0.3)
    cells = [truth(0.5, onset_epochs=(100,))]
    anew = forecast(cells, goal, anytime, pilot=[(0, 6)], continue_pilot=False, simulations=400)
    continued = forecast(cells, goal, anytime, pilot=[(0, 6)], simulations=400)
    assert continued.trials.low == sequential_design(goal).end([False] * 99)[1] - 6
    assert 3 < anew.trials.mean - continued.trials.mean < 9


def test_more_pilot_narrows_the_forecast(anytime):
    goal = AllocationGoal(until_width=0.3)
    little, much = (
        forecast([truth(0.5)], goal, anytime, pilot=[pilot], continue_pilot=False, simulations=300).trials
        for pilot in ((1, 4), (100, 400))
    )
    assert much.high - much.low < little.high - little.low


def test_the_forecast_covers_what_the_sweep_then_takes(anytime, table_2):
    """With known rates, 80 % of simulated sweeps lie between the 10 % and 90 % quantiles."""
    goal = AllocationGoal(until_width=0.6)
    found = forecast(table_2, goal, anytime, concurrency=4, simulations=150, seed=1)
    certainty = Certainty(goal, anytime)
    taken = [
        len(simulate(SyntheticTrials(table_2, 10_000 + s), certainty, StoppingPolicy(), concurrency=4).trials)
        for s in range(150)
    ]
    inside = np.mean([found.trials.low <= trials <= found.trials.high for trials in taken])
    assert 0.7 < inside < 0.93


def test_budget_makes_the_goal_unreached(anytime):
    assert forecast([truth(0.5)], AllocationGoal(until_width=0.2, max_trials=20), anytime, simulations=20).reached == 0


def test_trials_per_cell_add_up(anytime):
    found = forecast([truth(0.0), truth(0.5)], AllocationGoal(until_width=0.5), anytime, simulations=50)
    assert sum(cell.mean for cell in found.trials_per_cell) == pytest.approx(found.trials.mean)
    assert found.trials_per_cell[0].mean < found.trials_per_cell[1].mean


def test_assumptions_from_pilot_records(anytime):
    cells = [{"beta": 1.0}, {"beta": 3.0}, {"beta": 6.0}]
    truths = [
        truth(0.8, healing=0.5, censored=0.1, onset_epochs=(20, 30)),
        truth(0.3),
        truth(0.0, seconds_per_epoch=7.0),
    ]
    certainty = Certainty(AllocationGoal(max_trials=300), anytime)
    swept = simulate(SyntheticTrials(tuple(truths), 2), certainty, StoppingPolicy(audit=0.5))
    records = synthetic_records(swept.trials, truths, cells)
    found, counts = pilot_of(records, [Cell.from_flat(cell).id for cell in cells])
    assert counts == swept.counts
    assert set(found[0].onset_epochs) == {20, 30}
    assert set(found[1].onset_epochs) == {50}
    assert set(found[2].onset_epochs) == {20, 30, 50}  # Its own rates are unknown.
    assert found[2].seconds_per_epoch == pytest.approx(7.0)
    assert all(cell.epochs == 100 for cell in found)
    assert 0.2 < found[0].healing < 0.6
    unknown, none = pilot_of(records, ["a cell without trials"], epochs=60)
    assert none == [(0, 0)]
    assert unknown[0].epochs == 60
    forecast(found, AllocationGoal(max_trials=400), anytime, pilot=counts, simulations=3)


def test_impossible_forecasts_are_refused(anytime):
    with pytest.raises(ValueError, match="pilot has 2 cells; allowed: 1"):
        forecast([truth(0.5)], AllocationGoal(max_trials=5), anytime, pilot=[(0, 1), (0, 1)])
    with pytest.raises(ValueError, match=r"until_width 0.02 takes more than \d+ trials"):
        forecast([truth(0.5)], AllocationGoal(until_width=0.02), anytime)
    with pytest.raises(ValueError, match="no finished trial"):
        pilot_of([], ["cell"])
