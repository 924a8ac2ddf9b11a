"""A trial that the driver took for dead stores its result before the run ends."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

from core.config import Cell, ProtocolOptions, RunOptions, SeededCell, Sweep
from core.ledger.ledger import Ledger
from core.records import TrialRecord, Verdict
from core.storage import Store
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


def test_a_late_result_is_finished_and_the_crash_beside_it_is_deleted(tmp_path: Path) -> None:
    ledger = Ledger(Store(str(tmp_path / "s")), "s")
    ledger.enter(SWEEP)
    training = Training(
        sweep=SWEEP,
        run=RunOptions(),
        storage=str(tmp_path),
        ledger=ledger,
        records={},
        scratch=tmp_path,
        adaptive=None,
        max_device_hours=None,
        trainable=Mock(),
        lease=Mock(),
        role=None,
        keys=Mock(),
    )
    first, late, dead = (
        TrialRecord(
            sweep="s",
            protocol=SWEEP.protocol.model_dump(mode="json"),
            epochs_run=2,
            verdict=Verdict(outcome="stable", onset=False),
            **trial.record_fields(),
        )
        for trial in fixed_trials(SWEEP)
    )
    training.live.finish(ledger.write(first))
    for record in (late, dead):
        training.live.finish(ledger.write(record.model_copy(update={"verdict": censor("crashed: silent")})))
    assert training.unfinished(stored_trials(ledger)) == sorted([late.key, dead.key])
    ledger.write(late)
    records = stored_trials(ledger)
    training.forget_crashes(records)
    assert training.unfinished(records) == [dead.key]
    names = {key: ledger.trial_store(key).names() for key in (first.key, late.key, dead.key)}
    assert names == {first.key: ["record.json"], late.key: ["record.json"], dead.key: ["crash.json"]}
