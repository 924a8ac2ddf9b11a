from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.config import Cell, ProtocolOptions, Stream, Trial
from core.data.extra import with_extra
from core.data.image_set import Dataset
from core.data.load import load_dataset
from core.engine.ranks import Ranks
from core.engine.seeding import Streams
from core.engine.trainer import Trainer
from core.engine.trial import run_trial
from core.engine.trial_context import Cadence, TrialContext
from core.models import build_model
from core.records import TrialRecord
from core.storage import Store
from tests import tiny
from tests.networks import Float64
from tests.timeless import timeless


@pytest.fixture
def make_cell() -> Callable[..., Cell]:
    """A function that returns the cell of `tests.tiny` with some options replaced."""
    return lambda **options: Cell.from_flat({**tiny.CELL, **options})


@pytest.fixture
def load(tmp_path: Path) -> Callable[[Cell], Dataset]:
    return lambda cell: with_extra(load_dataset(cell.data, tmp_path), cell.data, tmp_path)


@pytest.fixture
def make_trainer() -> Callable[..., Trainer]:
    """A function that returns a trainer of one worker, optionally in float64."""

    def make(cell: Cell, *, seed: int = 0, float64: bool = False, pins: dict[Stream, int] | None = None) -> Trainer:
        streams = Streams.spawn(seed, pins or {})
        model = build_model(cell.model, cell.data.shape, streams.integer("init"))
        return Trainer(cell, Float64(model) if float64 else model, streams, Ranks())

    return make


@pytest.fixture
def run(tmp_path: Path, load: Callable[[Cell], Dataset]) -> Callable[..., TrialRecord]:
    """A function that runs a whole trial in this process, with its store below ``tmp_path / folder``."""

    def run(
        cell: Cell,
        *,
        folder: str = "trial",
        protocol: dict[str, Any] | None = None,
        report: Callable[..., None] = lambda epoch, rows, decided: None,
        timeout_s: float | None = None,
        cadence: Cadence | None = None,
        device_share: float = 1.0,
        change: Callable[[Dataset], Dataset] = lambda images: images,
        began: float | None = None,
        **trial: Any,
    ) -> TrialRecord:
        record = run_trial(
            Trial(cell=cell, **{"seed": 1, **trial}),
            ProtocolOptions(**{**tiny.VERDICT, **(protocol or {})}),
            lambda: change(load(cell)),
            TrialContext(
                sweep="test",
                store=Store(str(tmp_path / folder)),
                ranks=Ranks(),
                report=report,
                commit="none",
                cadence=cadence or Cadence(report_s=0, checkpoint_s=0),
                timeout_s=timeout_s,
                device_share=device_share,
                began=time.monotonic() if began is None else began,
            ),
        )
        assert record is not None
        return record

    return run


@pytest.fixture
def comparable() -> Callable[[TrialRecord], dict[str, Any]]:
    """The fields of a record that must not depend on time, machine and number of attempts."""

    def reduce(record: TrialRecord) -> dict[str, Any]:
        return timeless(record.model_dump())

    return reduce


@pytest.fixture
def weights() -> Callable[[nn.Module], Tensor]:
    """All parameters and BatchNorm statistics as one float64 vector."""

    def flatten(model: nn.Module) -> Tensor:
        tensors = (tensor for tensor in model.state_dict().values() if tensor.is_floating_point())
        return torch.cat([tensor.detach().double().flatten() for tensor in tensors])

    return flatten
