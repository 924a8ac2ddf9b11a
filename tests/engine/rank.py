"""A program that is one rank of a process group. It trains two epochs or a whole trial, and saves the results.

python -m tests.engine.rank RANK WORKERS RENDEZVOUS JOBS OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from core.config import Cell, ProtocolOptions, Trial
from core.data.extra import with_extra
from core.data.load import load_dataset
from core.engine.ranks import Ranks
from core.engine.seeding import Streams
from core.engine.trainer import Trainer
from core.engine.trial import run_trial
from core.engine.trial_context import Cadence, TrialContext
from core.models import build_model
from core.storage import Store
from tests.networks import Float64


def train_epochs(job: dict[str, Any], ranks: Ranks) -> dict[str, Any]:
    """Train two epochs in float64, and return weights, rows and gradient rows."""
    cell = Cell.from_flat(job["cell"])
    streams = Streams.spawn(0, {})
    trainer = Trainer(cell, Float64(build_model(cell.model, cell.data.shape, streams.integer("init"))), streams, ranks)
    train = with_extra(load_dataset(cell.data, Path()), cell.data, job.get("data_dir", "")).train
    out: dict[str, Any] = {"rows": [], "gradients": []}
    for epoch in (1, 2):
        row, gradients = trainer.run_epoch(
            train, epoch, noisy_batches=job["noisy_batches"], gradient_stride=job["gradient_stride"]
        )
        out["rows"].append({name: value for name, value in row.items() if not name.startswith("time/")})
        out["gradients"] += gradients
    for name, model in (("weights", trainer.model), ("measured", trainer.measured)):
        out[name] = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    return out


def train_trial(job: dict[str, Any], ranks: Ranks, folder: Path) -> dict[str, Any] | None:
    """Run a whole trial and return its record. The process dies after the epoch that the job names."""

    def report(epoch: int, rows: list[Any], decided: bool) -> None:
        if epoch == job.get("die_after"):
            raise KeyboardInterrupt

    cell = Cell.from_flat(job["cell"])
    record = run_trial(
        Trial(cell=cell, seed=1),
        ProtocolOptions(**job["protocol"]),
        lambda: load_dataset(cell.data, Path()),
        TrialContext("test", Store(str(folder)), ranks, report, "none", Cadence(report_s=0, checkpoint_s=0)),
    )
    return record.model_dump(mode="json") if record else None


def main(rank: int, workers: int, rendezvous: str, jobs: Path, out: Path) -> None:
    """Run all jobs in order in one process group."""
    if workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=workers)
    ranks = Ranks(rank, workers, torch.device("cpu"))
    results: list[Any] = []
    for job in json.loads(jobs.read_text()):
        if "protocol" not in job:
            results.append(train_epochs(job, ranks))
            continue
        try:
            results.append(train_trial(job, ranks, out.parent / job["folder"]))
        except KeyboardInterrupt:
            results.append("died")
    out.write_text(json.dumps(results))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), Path(sys.argv[5]))
