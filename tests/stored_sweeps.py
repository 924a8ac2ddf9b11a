"""Small sweeps and records of their trials, for tests of the storage and of the driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.config import Cell, ProtocolOptions, SeededCell, Sweep, Trial
from core.records import Outcome, SweepProgress, TrialRecord, Verdict

PROTOCOL = ProtocolOptions(fosc_threshold=2.5, stop=False)


def interrupted(**fields: Any) -> SweepProgress:
    """The progress of a sweep named ``s`` whose driver was interrupted before its first trial had ended."""
    unstarted = {"first_seed": 0, "started_at": 0, "written_at": 0, "done": 0, "censored": 0, "device_seconds": 0}
    whose = {"sweep": "s", "state": "interrupted", "host": "h", "pid": 1, "period_s": 15}
    return SweepProgress(**{**whose, **unstarted, **fields})


@pytest.fixture
def make_sweep() -> Callable[..., Sweep]:
    """A sweep of two cells, named ``first`` by default."""

    def make(**fields: Any) -> Sweep:
        entries = tuple(SeededCell(cell=Cell.from_flat({"beta": beta}), seeds=2) for beta in (1, 3))
        return Sweep(**{"name": "first", "preset": "none", "entries": entries, "protocol": PROTOCOL, **fields})

    return make


@pytest.fixture
def make_record() -> Callable[..., TrialRecord]:
    """The record of a trial of ``first`` with a given outcome."""

    def make(trial: Trial, outcome: Outcome) -> TrialRecord:
        return TrialRecord(
            sweep="first",
            cell_id=trial.cell.id,
            cell=trial.cell.flat(),
            seed=trial.seed,
            pins={str(stream): seed for stream, seed in trial.pins.items()},
            protocol=PROTOCOL.model_dump(mode="json"),
            verdict=Verdict(outcome=outcome, onset=outcome in ("unstable", "healed")),
            epochs_planned=50,
            epochs_run=50,
        )

    return make
