"""Hand-made trial records for the tests of `analysis`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.config import Cell, ProtocolOptions, digest
from core.records import Evidence, Measurement, Outcome, TrialRecord, Verdict

PROTOCOL = ProtocolOptions().model_dump(mode="json")
BASE_CELL = Cell.from_flat({}).flat()


def make_evidence(checkpoint: Any = "selected", split: Any = "test", epoch: int = 1, **accuracies: float) -> Evidence:
    """A function that creates evidence. Its argument `pgd_10=0.3` stands for attack ``pgd-10``."""
    measured = [
        Measurement(attack=name.replace("_", "-"), accuracy=value, images=400, split=split)
        for name, value in accuracies.items()
    ]
    return Evidence(checkpoint=checkpoint, epoch=epoch, measurements=tuple(measured))


def make_record(
    seed: int = 0,
    outcome: Outcome | None = "stable",
    *,
    cell: dict[str, Any] | None = None,
    protocol: dict[str, Any] | None = None,
    onsets: tuple[int, ...] = (),
    epochs_run: int = 10,
    epochs_planned: int = 10,
    fields: dict[str, Any] | None = None,
    **verdict: Any,
) -> TrialRecord:
    """A function that creates a trial. Outcome None is a running trial. `unstable` defaults to overestimated."""
    options = {**BASE_CELL, **(cell or {})}
    judged = None
    if outcome is not None:
        labels = {} if outcome == "censored" else {"overestimation": outcome == "unstable", "catastrophic": False}
        onset = {"onset": bool(onsets), "onset_epoch": onsets[0] if onsets else None, "onset_epochs": onsets}
        judged = Verdict(**{"outcome": outcome, **labels, **onset, **verdict})
    return TrialRecord(
        sweep="test",
        cell_id=digest(options),
        cell=options,
        seed=seed,
        protocol={**PROTOCOL, **(protocol or {})},
        status="running" if outcome is None else "finished",
        verdict=judged,
        epochs_planned=epochs_planned,
        epochs_run=epochs_run,
        **(fields or {}),
    )


@pytest.fixture(scope="session")
def record() -> Callable[..., TrialRecord]:
    return make_record


@pytest.fixture(scope="session")
def evidence() -> Callable[..., Evidence]:
    return make_evidence
