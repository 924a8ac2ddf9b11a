"""What one Ray Train worker runs: join the trial's process group, load the data, train."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict

import ray.train
from ray.train.collective import broadcast_from_rank_zero

GROUP_TIMEOUT = timedelta(hours=12)
"""Ranks wait this long for each other: the leader alone measures a verdict, 5,000 queries on 10,000 images and more."""


class WorkerTask(TypedDict):
    """What a worker is told, in JSON types."""

    trial: dict[str, Any]
    protocol: dict[str, Any]
    sweep: str
    store: str
    data_dir: str
    commit: str
    checkpoint_s: float
    timeout_s: float | None


def train_worker(task: WorkerTask) -> None:
    """Run the trial on this rank. Imports torch here, so that the actors that only pass this function on need not."""
    from core.config import ProtocolOptions, Trial
    from core.data import load_dataset
    from core.engine.trial import Cadence, Surroundings, run_trial
    from core.storage import Store

    trial = Trial.model_validate(task["trial"])
    around = Surroundings(
        sweep=task["sweep"],
        store=Store(task["store"]),
        ranks=_join_group(),
        report=lambda epoch, rows, decided: ray.train.report({"epoch": epoch, "rows": rows, "decided": decided}),
        commit=task["commit"],
        cadence=Cadence(checkpoint_s=task["checkpoint_s"]),
        timeout_s=task["timeout_s"],
    )
    dataset = load_dataset(trial.cell.data, Path(task["data_dir"]))
    run_trial(trial, ProtocolOptions.model_validate(task["protocol"]), dataset, around)


def _join_group() -> Any:
    import torch
    import torch.distributed as dist

    from core.engine.ranks import Ranks

    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    on_gpu = bool(ray.get_gpu_ids())
    if workers > 1:
        address = broadcast_from_rank_zero(_free_address() if rank == 0 else None)
        dist.init_process_group(
            "nccl" if on_gpu else "gloo",
            init_method=f"tcp://{address}",
            rank=rank,
            world_size=workers,
            timeout=GROUP_TIMEOUT,
        )
    return Ranks(rank, workers, torch.device("cuda" if on_gpu else "cpu"))


def _free_address() -> str:
    host = ray.util.get_node_ip_address()
    with socket.socket() as probe:
        probe.bind((host, 0))
        return f"{host}:{probe.getsockname()[1]}"
