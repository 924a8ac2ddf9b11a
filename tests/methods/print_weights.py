"""Prints the SHA-256 of the weights that TRADES and PGD-AT have after two epochs, one line per setting.

Run the script once per source tree (``PYTHONPATH=TREE python tests/methods/print_weights.py``) on one machine: trees
whose lines are equal train the same bits. With ``--ranks 2`` each setting is trained by two gloo ranks.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from core.config import Cell
from core.data import load_dataset
from core.engine.ranks import Ranks
from core.engine.seeding import Streams
from core.engine.trainer import Trainer
from core.models import build_model

TINY = {
    "classes": 5, "train_images": 81, "validation_images": 20, "test_images": 20, "batch_size": 16, "epochs": 3,
    "epsilon": 0.1, "attack_step_size": 0.05, "attack_steps": 2,
}  # fmt: skip
OLD_PGD_AT = {"method": "pgd-at", "inner": "kl", "attack_start": "gaussian"}
SETTINGS: dict[str, dict[str, Any]] = {
    "trades": {},
    "clean_forwards 2": {"clean_forwards": 2},
    "pgd-at kl gaussian": OLD_PGD_AT,
    "pgd-at ce uniform": {"method": "pgd-at", "inner": "ce", "attack_start": "uniform"},
    "awp": {"awp_radius": 0.01},
    "awp warm-up": {"awp_radius": 0.01, "awp_warmup": 1, "clean_forwards": 2},
    "not fast": {"fast": False},
    "bf16": {"precision": "bf16"},
    "attack_bn train": {"attack_bn": "train"},
    "crop-flip, drop_last": {"augment": "crop-flip", "drop_last": True},
}


def train(cell: Cell, ranks: Ranks) -> str:
    """SHA-256 of all tensors of the model after two epochs."""
    streams = Streams.spawn(0, {})
    trainer = Trainer(cell, build_model(cell.model, cell.data.shape, streams.integer("init")), streams, ranks)
    images = load_dataset(cell.data, Path()).train
    for epoch in (1, 2):
        trainer.run_epoch(images, epoch, gradient_stride=3)
    content = b"".join(tensor.contiguous().numpy().tobytes() for tensor in trainer.model.state_dict().values())
    return hashlib.sha256(content).hexdigest()


def work(rank: int, workers: int, meeting: str) -> None:
    """One rank: train every setting; the first rank prints."""
    torch.set_num_threads(1)
    if workers > 1:
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=workers)
    for name, options in SETTINGS.items():
        found = train(Cell.from_flat({**TINY, **options}), Ranks(rank, workers))
        if rank == 0:
            print(f"{found[:16]}  {name}", flush=True)
    if workers > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ranks", type=int, default=1)
    ranks = parser.parse_args().ranks
    with tempfile.TemporaryDirectory() as folder:
        arguments = (ranks, f"file://{folder}/meeting")
        if ranks == 1:
            work(0, *arguments)
        else:
            mp.spawn(work, arguments, nprocs=ranks)
