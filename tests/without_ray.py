"""A trial that the engine trains without Ray, S3 and MLflow: the reference of what a sweep must store."""

from __future__ import annotations

import json
import tempfile
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.config import ProtocolOptions, Trial

Record = dict[str, Any]


def train(trial: Trial, protocol: ProtocolOptions, sweep: str) -> Record:
    """The record of a trial in JSON types. Each further rank is a process.

    Args:
        trial: the trial.
        protocol: the protocol of its sweep.
        sweep: the name of its sweep.
    """
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


def _train_rank(
    rank: int, workers: int, trial: Trial, protocol: ProtocolOptions, sweep: str, folder: str
) -> Record | None:
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
    context = TrialContext(
        sweep=sweep,
        store=Store(f"{folder}/store"),
        ranks=Ranks(rank, workers, torch.device("cpu")),
        report=lambda *_: None,
        commit="",
        cadence=Cadence(checkpoint_s=3600),
    )
    record = run_trial(trial, protocol, lambda: load_dataset(trial.cell.data, Path()), context)
    if workers > 1:
        dist.destroy_process_group()
    return None if record is None else json.loads(record.model_dump_json())
