"""The device-hours of a sweep with fixed seeds have a ceiling."""

from __future__ import annotations

import pytest

from core.config import Cell, ProtocolOptions, SeededCell, Sweep
from core.sweep import live_state as module
from core.sweep.budget import Budget
from core.sweep.halt import Halt
from core.sweep.live_state import LiveState
from core.sweep.trial_plan import fixed_trials

SWEEP = Sweep(
    name="s",
    preset="none",
    entries=(SeededCell(cell=Cell.from_flat({"epochs": 100}), seeds=1),),
    protocol=ProtocolOptions(),
)


class Clock:
    """A clock that only a test advances."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("hours", "epochs", "ends"), [(None, 100, False), (1.0, 59, False), (1.0, 60, True), (0.5, 30, True)]
)
def test_a_sweep_ends_when_its_hours_are_used(hours: float | None, epochs: int, ends: bool) -> None:
    (trial,) = fixed_trials(SWEEP)
    live, halt = LiveState(SWEEP, {}, [trial], price=3.0), Halt()
    budget = Budget(live, hours, halt)
    live.start(trial, trial.key, 1)
    live.advance(trial.key, [{"epoch": e, "time/train_s": 60.0} for e in range(1, epochs + 1)])
    budget.look()
    assert halt.stop_all() == ends
    if halt.stop:
        assert halt.stop.cause == "budget"
        assert f"{hours:.3g} of {hours:.3g} device-hours, which cost {3 * hours:.2f} of" in halt.stop.sentence


def test_attempts_that_never_end_an_epoch_use_the_budget_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes live for 10 minutes, and an epoch takes 15."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    (trial,) = fixed_trials(SWEEP)
    live, halt = LiveState(SWEEP, {}, [trial]), Halt()
    budget = Budget(live, 0.5, halt)
    for attempt in (1, 2, 3):
        assert not halt.stop
        live.start(trial, trial.key, attempt)
        live.locate(trial.key, f"node{attempt}", attempt)
        clock.now += 600
        live.end(trial.key)
        clock.now += 3600
        budget.look()
    assert halt.stop
    assert "0.5 of 0.5 device-hours" in halt.stop.sentence
