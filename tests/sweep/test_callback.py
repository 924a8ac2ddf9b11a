"""The record that a driver writes of a trial whose workers died."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from core.config import Cell, ProtocolOptions, SeededCell, Sweep, Trial
from core.engine.attempts import AttemptFile, Attempts
from core.ledger.ledger import Ledger
from core.records import TrialRecord
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


class Crashed:
    """A driver's callback, and the only trial of its sweep, whose process has died."""

    def __init__(self, folder: Path, trial: Trial) -> None:
        self.ledger = Ledger(Store(str(folder)), "s")
        self.store = self.ledger.trial_store(trial.key)
        self.live = LiveState(SWEEP, {}, [trial], earlier={trial.key: Attempts(number=2, device_seconds=100.0)})
        self.parts = Mock()
        self.parts.crashes.reason.return_value = "killed"
        self.parts.crashes.crashed.return_value = []
        others = ("tracker", "display", "metrics", "watchdog", "concurrency")
        others += ("joined_nodes", "placements", "crashes", "budget")
        self.callback = SweepCallback(
            ledger=self.ledger,
            live=self.live,
            protocol=SWEEP.protocol.model_dump(mode="json"),
            commit="c",
            **{name: getattr(self.parts, name) for name in others},
        )
        task = {"trial": trial.model_dump(mode="json"), "device_share": 1.0}
        self.tuned = SimpleNamespace(trial_id="1", config={"run": {"task": task}})
        self.callback.on_trial_start(0, [self.tuned], self.tuned)
        self.callback.on_trial_result(0, [self.tuned], self.tuned, {"node": "n", "pid": 1, "memory_kills": 0})

    def die(self) -> None:
        self.callback.on_trial_error(0, [self.tuned], self.tuned)


def test_all_that_a_crashed_trial_used_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last attempt was killed 10 s after it had stored its time."""
    clock = Clock()
    monkeypatch.setattr(live_state, "time", clock)
    (trial,) = fixed_trials(SWEEP)
    crashed = Crashed(tmp_path, trial)
    AttemptFile(crashed.store, trial.key).write(Attempts(number=3, device_seconds=140.0))
    clock.now += 50
    crashed.die()
    record = crashed.ledger.record(trial.key)
    assert record is not None
    assert record.crashed
    assert (record.attempts, record.device_seconds, record.lost_device_seconds) == (3, 150.0, 150.0)
    assert crashed.live.device_seconds == 150.0
    assert crashed.store.names() == ["attempts.json", "crash.json"]


def test_a_trial_killed_after_it_had_stored_its_result_is_finished_and_leaves_nothing(
    tmp_path: Path, make_record: Callable[..., TrialRecord]
) -> None:
    (trial,) = fixed_trials(SWEEP)
    crashed = Crashed(tmp_path, trial)
    for name in ("resume.ckpt", "attempts.json"):
        crashed.store.write(name, b"state")
    result = make_record(trial, "stable").model_copy(update={"sweep": "s"})
    crashed.store.write("record.json", result.to_json())
    crashed.die()
    (ended,) = crashed.live.finished
    assert not ended.crashed
    assert crashed.store.names() == ["record.json"]
