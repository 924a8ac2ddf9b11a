"""Reference records of undisturbed trials, trained by the engine without Ray, S3 and MLflow."""

from __future__ import annotations

import json
import os
import tempfile
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.chaos.sweeps import SweepCommand

Record = dict[str, Any]


class Reference:
    """A context manager that trains in processes of a low priority, while the sweeps run."""

    def __enter__(self) -> Reference:
        """Start the processes."""
        self._pool = ProcessPoolExecutor(2, get_context("spawn"), initializer=_prepare)
        self._records: dict[tuple[str, int], Future[dict[str, Record]]] = {}
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)

    def prepare(self, sweep: SweepCommand, seeds: int) -> None:
        """Start the training of the first ``seeds`` seeds, except those already started."""
        for seed in range(seeds):
            if (sweep.name, seed) not in self._records:
                self._records[sweep.name, seed] = self._pool.submit(_train_seed, sweep, seed)

    def records(self, sweep: SweepCommand, seeds: int) -> dict[str, Record]:
        """The records by key, in JSON types."""
        self.prepare(sweep, seeds)
        return {k: r for seed in range(seeds) for k, r in self._records[sweep.name, seed].result().items()}


def _prepare() -> None:
    os.nice(5)
    import torch

    torch.set_num_threads(1)


def _train_seed(sweep: SweepCommand, seed: int) -> dict[str, Record]:
    trials, protocol = sweep.trials(seed + 1)
    mine = [trial for trial in trials if trial.seed == seed]
    return {trial.key: _train(trial, protocol, sweep) for trial in mine}


def _train(trial: Any, protocol: Any, sweep: SweepCommand) -> Record:
    workers = trial.cell.training.workers
    with tempfile.TemporaryDirectory() as folder:
        ranks = [
            get_context("spawn").Process(target=_train_rank, args=(rank, workers, trial, protocol, sweep, folder))
            for rank in range(1, workers)
        ]
        for rank in ranks:
            rank.start()
        record = _train_rank(0, workers, trial, protocol, sweep, folder)
        for rank in ranks:
            rank.join()
    assert record is not None
    return record


def _train_rank(rank: int, workers: int, trial: Any, protocol: Any, sweep: SweepCommand, folder: str) -> Record | None:
    import torch
    import torch.distributed as dist

    from core.data.load import load_dataset
    from core.engine.ranks import Ranks
    from core.engine.trial import run_trial
    from core.engine.trial_context import Cadence, TrialContext
    from core.storage import Store

    torch.set_num_threads(1)
    if workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=workers)
    around = TrialContext(
        sweep=sweep.name,
        store=Store(f"{folder}/store"),
        ranks=Ranks(rank, workers, torch.device("cpu")),
        report=lambda *_: None,
        commit="",
        cadence=Cadence(checkpoint_s=3600),
    )
    record = run_trial(trial, protocol, lambda: load_dataset(trial.cell.data, Path()), around)
    if workers > 1:
        dist.destroy_process_group()
    return None if record is None else json.loads(record.model_dump_json())
