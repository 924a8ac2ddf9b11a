"""A trial that the driver took for dead stores its result before the run ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from unittest.mock import Mock

import pytest

from core.config import Cell, ProtocolOptions, RunOptions, SeededCell, Sweep, Trial
from core.ledger.ledger import Ledger
from core.records import TrialRecord, Verdict
from core.storage import Store, StoreError
from core.sweep.driver import stored_trials
from core.sweep.training import Training
from core.sweep.trial_plan import fixed_trials
from core.verdict import censor

SWEEP = Sweep(
    name="s",
    preset="none",
    entries=(SeededCell(cell=Cell.from_flat({"epochs": 2}), seeds=3),),
    protocol=ProtocolOptions(),
)


Make = Callable[..., Training]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(Store(str(tmp_path / "s")), "s")
    ledger.enter(SWEEP)
    return ledger


@pytest.fixture
def make_training(tmp_path: Path, ledger: Ledger) -> Make:
    """A function that makes a run of the sweep, or of a smaller one, that knows these records."""

    def make(records: Mapping[str, TrialRecord], sweep: Sweep = SWEEP) -> Training:
        return Training(
            sweep=sweep,
            run=RunOptions(),
            storage=str(tmp_path),
            ledger=ledger,
            records=records,
            scratch=tmp_path,
            adaptive=None,
            max_device_hours=None,
            trainable=Mock(),
            lease=Mock(),
            role=None,
            keys=Mock(),
        )

    return make


def record_of(trial: Trial) -> TrialRecord:
    return TrialRecord(
        sweep="s",
        protocol=SWEEP.protocol.model_dump(mode="json"),
        epochs_run=2,
        verdict=Verdict(outcome="stable", onset=False),
        **trial.record_fields(),
    )


def crash(record: TrialRecord) -> TrialRecord:
    return record.model_copy(update={"verdict": censor("crashed: silent")})


def test_a_late_result_is_finished_and_the_crash_beside_it_is_deleted(ledger: Ledger, make_training: Make) -> None:
    training = make_training({})
    first, late, dead = map(record_of, fixed_trials(SWEEP))
    training.live.finish(ledger.write(first))
    for record in (late, dead):
        training.live.finish(ledger.write(crash(record)))
    assert training.unfinished(stored_trials(ledger)) == sorted([late.key, dead.key])
    ledger.write(late)
    records = stored_trials(ledger)
    training.delete_crashes(records)
    assert training.unfinished(records) == [dead.key]
    names = {key: ledger.trial_store(key).names() for key in (first.key, late.key, dead.key)}
    assert names == {first.key: ["record.json"], late.key: ["record.json"], dead.key: ["crash.json"]}


def test_a_crash_that_may_not_be_deleted_stays_beside_its_result(
    ledger: Ledger, make_training: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = make_training({})
    late = record_of(fixed_trials(SWEEP)[0])
    training.live.finish(ledger.write(crash(late)))
    ledger.write(late)
    monkeypatch.setattr(Store, "delete", Mock(side_effect=StoreError("AccessDenied")))
    training.delete_crashes([late])
    assert ledger.trial_store(late.key).names() == ["crash.json", "record.json"]


def test_a_result_that_was_stored_just_before_an_interrupt_is_finished(ledger: Ledger, make_training: Make) -> None:
    training = make_training({})
    for trial in fixed_trials(SWEEP)[:2]:
        training.live.start(trial, trial.key, 1)
    stored, running, waiting = fixed_trials(SWEEP)
    ledger.write(record_of(stored))
    assert training.unfinished(stored_trials(ledger)) == sorted([running.key, waiting.key])


def test_crashes_of_trials_that_a_run_does_not_train_are_not_its_own(ledger: Ledger, make_training: Make) -> None:
    """The user trains the first seed only, after an earlier run in which all seeds crashed."""
    records = {record.key: ledger.write(crash(record)) for record in map(record_of, fixed_trials(SWEEP))}
    first = SWEEP.entries[0].model_copy(update={"seeds": 1})
    training = make_training(records, SWEEP.model_copy(update={"entries": (first,)}))
    trained = record_of(fixed_trials(SWEEP)[0])
    training.live.finish(ledger.write(trained))
    assert training.unfinished(stored_trials(ledger)) == []
