"""Devices that are broken, shared or too small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from core.config import Cell, ProtocolOptions, Trial
from core.data.image_set import Dataset
from core.engine.attempts import AttemptFile, Attempts
from core.engine.device import BrokenDeviceError, open_device, peak_memory
from core.engine.filenames import CRASH, RECORD, RESUME
from core.engine.ranks import Ranks
from core.engine.trainer import Trainer
from core.engine.trial import run_trial
from core.engine.trial_context import TrialContext
from core.records import TrialRecord, read_record
from core.storage import Store


def test_a_cpu_is_opened_whole_and_has_no_memory_entry() -> None:
    assert open_device("cpu", 0.5) == torch.device("cpu")
    assert peak_memory(torch.device("cpu")) == {}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU that works")
def test_a_gpu_without_a_driver_is_broken_and_says_why() -> None:
    with pytest.raises(BrokenDeviceError, match=r"(?i)nvidia|cuda"):
        open_device("cuda")


def test_out_of_memory_is_censored_once_and_the_checkpoint_stays(
    make_cell: Callable[..., Cell],
    run: Callable[..., TrialRecord],
    comparable: Callable[[TrialRecord], dict[str, object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A real device runs out of memory in the second epoch; a later run with more memory goes on from the first."""
    whole = run(make_cell(), folder="whole")
    train = Trainer.run_epoch

    def run_epoch(self: Trainer, images: Dataset, epoch: int, **how: int) -> object:
        if epoch == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train(self, images, epoch, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "run_epoch", run_epoch)
    record = run(make_cell(), device_share=0.25)
    assert record.verdict is not None
    assert record.verdict.outcome == "censored"
    reason = record.verdict.censor_reason or ""
    assert reason.startswith("crashed: out of memory with --batch-size 16 on ")
    assert reason.endswith("with --gpus-per-worker 0.25: give a larger share")
    assert run(make_cell(), device_share=0.25) == record, "it is not tried again"
    assert not (tmp_path / "trial" / RECORD).exists()
    (tmp_path / "trial" / CRASH).unlink()  # as a later run of the sweep does with crashed trials
    assert (tmp_path / "trial" / RESUME).exists()
    monkeypatch.setattr(Trainer, "run_epoch", train)
    again = run(make_cell())
    assert comparable(again) == comparable(whole)
    assert again.attempts == record.attempts + 1 == 2
    assert 0 < again.lost_device_seconds < record.lost_device_seconds, "the first epoch is in the checkpoint"


@dataclass(frozen=True)
class SecondRank(Ranks):
    """The second of two ranks, whose leading rank has found no finished record and has the same images."""

    rank: int = 1
    workers: int = 2

    def from_leader(self, value: Any) -> Any:
        return value


def test_a_rank_that_runs_out_of_memory_counts_the_attempts_that_only_the_leading_rank_knows(
    make_cell: Callable[..., Cell], tmp_path: Path
) -> None:
    trial, store = Trial(cell=make_cell(workers=2), seed=1), Store(str(tmp_path))
    AttemptFile(store, trial.key).write(Attempts(number=3, device_seconds=500.0))

    def load() -> Dataset:
        raise torch.OutOfMemoryError("CUDA out of memory")

    context = TrialContext("sweep", store, SecondRank(), lambda *_: None, "")
    with pytest.raises(torch.OutOfMemoryError):
        run_trial(trial, ProtocolOptions(), load, context)
    record = read_record(store.read(CRASH) or b"")
    assert (record.attempts, record.device_seconds, record.lost_device_seconds) == (3, 500.0, 500.0)


def test_a_trial_on_a_part_of_a_device_costs_this_part(
    make_cell: Callable[..., Cell], run: Callable[..., TrialRecord]
) -> None:
    record = run(make_cell(), device_share=0.01)
    spent = sum((row["time/train_s"] or 0) + (row["time/eval_s"] or 0) for row in record.trace)
    assert 0.01 * spent < record.device_seconds < 0.01 * (spent + 20)
