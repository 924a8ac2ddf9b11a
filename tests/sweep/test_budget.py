"""The device-hours of a sweep with fixed seeds have a ceiling."""

from __future__ import annotations

import pytest

from core.config import Cell, ProtocolOptions, SeededCell, Sweep
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
