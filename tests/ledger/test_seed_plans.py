"""Whether a sweep that is run again with other seeds or more groups counts as continued after a look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.questions.countable_trials import countable_trials
from core.allocation import AllocationGoal, SeedHistory, SweepPlan
from core.config import Cell, ProtocolOptions, SeededCell, Sweep
from core.ledger.description import read_description
from core.ledger.ledger import Ledger
from core.records import TrialRecord, Verdict
from core.storage import Store
from core.sweep.trial_plan import fixed_trials
from core.verdict import censor
from tests.stored_sweeps import interrupted

CELL = Cell.from_flat({"epochs": 2})
ONE, TWO = {"init": 7}, {"init": 8}


def sweep(seeds: int, **changes: Any) -> Sweep:
    entries = (SeededCell(cell=CELL, seeds=seeds),)
    return Sweep(name="s", preset="quick", entries=entries, protocol=ProtocolOptions(), **changes)


def finish(ledger: Ledger, planned: Sweep, trials: int, goal: AllocationGoal | None = None) -> list[TrialRecord]:
    """Store the plan, and results of its first trials."""
    ledger.enter(planned, goal)
    records = [
        TrialRecord(
            sweep="s",
            protocol=planned.protocol.model_dump(mode="json"),
            epochs_run=2,
            verdict=Verdict(outcome="stable", onset=False),
            **trial.record_fields(),
        )
        for trial in fixed_trials(planned)[:trials]
    ]
    for record in records:
        ledger.write(record)
    return records


@pytest.mark.parametrize(
    "first, trials, then, changed",
    [
        (sweep(4), 4, sweep(4), False),
        (sweep(4), 2, sweep(3, first_seed=1), False),
        (sweep(4), 4, sweep(4, first_seed=4), True),
        (sweep(4, first_seed=4), 4, sweep(4), True),
        (sweep(4), 0, sweep(4, first_seed=4), False),
        (sweep(2, pin_groups=(ONE,)), 2, sweep(2, pin_groups=(ONE, TWO)), True),
        (sweep(2, pin_groups=(ONE, TWO)), 3, sweep(2, pin_groups=(ONE,)), False),
    ],
)
def test_trials_beyond_the_planned_ones_are_noticed_after_a_look(
    tmp_path: Path, first: Sweep, trials: int, then: Sweep, changed: bool
) -> None:
    ledger = Ledger(Store(str(tmp_path)), "s")
    finish(ledger, first, trials)
    plans = ledger.plans(then)
    assert (len(plans) > 1) is changed
    ledger.enter(then)
    assert ledger.plans(then) == plans


def test_a_crash_is_a_look_too(tmp_path: Path) -> None:
    """It may have had an onset, which counts."""
    ledger = Ledger(Store(str(tmp_path)), "s")
    (record,) = finish(ledger, sweep(4), 1)
    ledger.trial_store(record.key).delete("record.json")
    assert len(ledger.plans(sweep(5))) == 1
    ledger.write(record.model_copy(update={"verdict": censor("crashed: x")}))
    assert len(ledger.plans(sweep(5))) == 2


@pytest.mark.parametrize(
    "first, trials, then, kinds",
    [
        (sweep(2), 2, sweep(2), "blaker"),
        (sweep(2), 2, sweep(3), "anytime"),
        (sweep(3), 2, sweep(3), "blaker"),
        (sweep(3), 2, sweep(4), "anytime"),
    ],
)
def test_the_loss_of_its_description_hides_no_look(
    tmp_path: Path, first: Sweep, trials: int, then: Sweep, kinds: str
) -> None:
    """Moving ``sweep.json`` away is the remedy for a damaged one. The trials that wait are known from the progress."""
    ledger = Ledger(Store(str(tmp_path)), "s")
    records = finish(ledger, first, trials)
    ledger.write_progress(interrupted(pending={CELL.id: first.trials - trials}))
    (tmp_path / "sweep.json").unlink()
    ledger.enter(then)
    description = read_description(ledger.store)
    assert description is not None
    assert countable_trials(records, SeedHistory(0, description.plans))[1] == kinds


def test_a_trial_that_was_begun_by_an_earlier_driver_and_waits_again_counts_once(tmp_path: Path) -> None:
    ledger = Ledger(Store(str(tmp_path)), "s")
    finish(ledger, sweep(3), 1)
    ledger.trial_store(f"{CELL.id}-1").write("attempts.json", b"{}")
    ledger.write_progress(interrupted(pending={CELL.id: 2}))
    (tmp_path / "sweep.json").unlink()
    assert [plan.seeds for plan in ledger.plans(sweep(3))] == [{CELL.id: 3}]


def test_without_the_progress_of_a_lost_sweep_its_plan_was_what_has_started(tmp_path: Path) -> None:
    ledger = Ledger(Store(str(tmp_path)), "s")
    finish(ledger, sweep(3), 2)
    (tmp_path / "sweep.json").unlink()
    assert [plan.seeds for plan in ledger.plans(sweep(3))] == [{CELL.id: 2}, {CELL.id: 3}]


@pytest.mark.parametrize("goal", [None, AllocationGoal(until_width=0.6, max_trials=20)])
def test_an_adaptive_sweep_that_lost_its_description_has_an_unknown_goal(
    tmp_path: Path, goal: AllocationGoal | None
) -> None:
    ledger = Ledger(Store(str(tmp_path)), "s")
    (record, *_) = finish(ledger, sweep(3), 1)
    adaptive = record.model_copy(update={"allocation": "adaptive"})
    ledger.trial_store(record.key).write("record.json", adaptive.to_json())
    (tmp_path / "sweep.json").unlink()
    assert ledger.plans(sweep(1), goal) == [SweepPlan(adaptive=True), SweepPlan.of({CELL.id: 1}, goal)]


def test_an_adaptive_sweep_with_a_later_first_seed_has_changed(tmp_path: Path) -> None:
    ledger, goal = Ledger(Store(str(tmp_path)), "s"), AllocationGoal(until_width=0.6, max_trials=20)
    finish(ledger, sweep(3), 1, goal)
    assert len(ledger.plans(sweep(3), goal)) == 1
    assert len(ledger.plans(sweep(3, first_seed=50), goal)) == 2


def test_added_groups_show_an_anytime_interval_over_groups(tmp_path: Path) -> None:
    ledger = Ledger(Store(str(tmp_path)), "s")
    finish(ledger, sweep(2, pin_groups=(ONE,)), 2)
    more = sweep(2, pin_groups=(ONE, TWO))
    history = SeedHistory(0, ledger.plans(more))
    assert countable_trials(finish(ledger, more, 4), history)[1] == "clustered-anytime"
