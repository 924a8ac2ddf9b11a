from __future__ import annotations

import copy
import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from core.checkpoints.checkpoint import Checkpoint, load_checkpoint
from core.config import Cell, ProtocolOptions, Sweep, Trial
from core.config.sweep import SeededCell
from core.data.image_set import Dataset, ImageSet
from core.data.load import load_dataset
from core.engine.ranks import Ranks
from core.engine.trial import run_trial
from core.engine.trial_context import TrialContext
from core.evaluation.task import BlockTask
from core.ledger.ledger import Ledger
from core.records import TrialRecord
from core.storage import Store
from tests.servers.shared_ray import SharedRay

JOB = Path(__file__).parents[2] / "jobs" / "evaluate.py"

# At this radius some images of the digits survive each attack, and some do not.
CELL = Cell.from_flat({"dataset": "digits", "epochs": 2, "epsilon": 0.12, "attack_steps": 2, "attack_step_size": 0.06})
PROTOCOL = ProtocolOptions(verdict_images=20, square_queries=5, pgd50_restarts=1)
SEEDS = 2


@dataclasses.dataclass(frozen=True)
class TinySweep:
    """Two trials of one cell, trained with the engine, in ``folder / results / tiny``."""

    folder: Path
    records: list[TrialRecord]

    @property
    def storage(self) -> str:
        return str(self.folder / "results")

    @property
    def ledger(self) -> Ledger:
        return Ledger(Store(self.storage).child("tiny"), "tiny")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """A test process that computes with one thread, as Ray's workers do, because two threads sum in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def evaluate_on_ray(shared_ray: SharedRay, tmp_path: Path) -> Callable[..., str]:
    """Run ``jobs/evaluate.py`` for the sweep ``tiny`` with the given arguments, and return what it prints."""

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, str(JOB), "--sweep", "tiny", *arguments],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", **shared_ray.environment},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_dataset(CELL.data, Path())


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> TinySweep:
    folder = tmp_path_factory.mktemp("sweep")
    sweep = TinySweep(folder, [])
    sweep.ledger.enter(
        Sweep(name="tiny", preset="none", entries=(SeededCell(cell=CELL, seeds=SEEDS),), protocol=PROTOCOL)
    )
    for seed in range(SEEDS):
        trial = Trial(cell=CELL, seed=seed)
        store = sweep.ledger.trial_store(trial.key)
        around = TrialContext("tiny", store, Ranks(), lambda epoch, rows, decided: None, "abc")
        record = run_trial(trial, PROTOCOL, lambda: digits, around)
        assert record is not None
        sweep.records.append(record)
    return sweep


@pytest.fixture(scope="session")
def checkpoint(trained: TinySweep) -> Checkpoint:
    return load_checkpoint(trained.ledger.trial_store(trained.records[0].key), "selected.pt")


@pytest.fixture
def network(checkpoint: Checkpoint) -> nn.Module:
    return copy.deepcopy(checkpoint.model)


@pytest.fixture(scope="session")
def images(digits: Dataset) -> ImageSet:
    return digits.test


@pytest.fixture
def elsewhere(tmp_path: Path) -> Callable[[BlockTask], BlockTask]:
    """The same task with results in another folder, which also contains the weights."""

    def move(task: BlockTask, folder: str = "elsewhere") -> BlockTask:
        root = Store(str(tmp_path / folder))
        content = Store(task.store).read(task.file)
        assert content is not None
        root.write(task.file, content)
        return dataclasses.replace(task, store=root.root)

    return move
