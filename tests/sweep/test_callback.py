"""The record that a driver writes of a trial whose workers died."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from core.config import Cell, ProtocolOptions, SeededCell, Sweep
from core.engine.attempts import AttemptFile, Attempts
from core.ledger.ledger import Ledger
from core.storage import Store
from core.sweep import live_state
from core.sweep.callback import SweepCallback
from core.sweep.live_state import LiveState
from core.sweep.trial_plan import fixed_trials
from tests.sweep.test_budget import Clock

SWEEP = Sweep(
    name="s",
    preset="none",
    entries=(SeededCell(cell=Cell.from_flat({"epochs": 100}), seeds=1),),
    protocol=ProtocolOptions(),
)


def test_all_that_a_crashed_trial_used_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last attempt was killed 10 s after it had stored its time."""
    clock = Clock()
    monkeypatch.setattr(live_state, "time", clock)
    (trial,) = fixed_trials(SWEEP)
    ledger = Ledger(Store(str(tmp_path)), "s")
    live = LiveState(SWEEP, {}, [trial], earlier={trial.key: Attempts(number=2, device_seconds=100.0)})
    parts = Mock()
    parts.crashes.reason.return_value = "killed"
    parts.crashes.crashed.return_value = []
    protocol = SWEEP.protocol.model_dump(mode="json")
    others = ("tracker", "display", "metrics", "watchdog", "concurrency")
    others += ("joined_nodes", "placements", "crashes", "budget")
    callback = SweepCallback(
        ledger=ledger, live=live, protocol=protocol, commit="c", **{name: getattr(parts, name) for name in others}
    )
    task = {"trial": trial.model_dump(mode="json"), "device_share": 1.0}
    tuned = SimpleNamespace(trial_id="1", config={"run": {"task": task}})
    callback.on_trial_start(0, [tuned], tuned)
    callback.on_trial_result(0, [tuned], tuned, {"node": "n", "pid": 1, "memory_kills": 0})
    AttemptFile(ledger.trial_store(trial.key), trial.key).write(Attempts(number=3, device_seconds=140.0))
    clock.now += 50
    callback.on_trial_error(0, [tuned], tuned)
    record = ledger.record(trial.key)
    assert record is not None
    assert record.crashed
    assert (record.attempts, record.device_seconds, record.lost_device_seconds) == (3, 150.0, 150.0)
    assert live.device_seconds == 150.0
    assert ledger.trial_store(trial.key).names() == ["attempts.json", "crash.json"]
