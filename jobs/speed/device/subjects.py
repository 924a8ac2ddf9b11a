"""Trainers, batches and networks that rows measure."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.config import Cell
from core.data.image_set import Dataset
from core.data.load import load_dataset
from core.engine.determinism import deterministic
from core.engine.ranks import Ranks
from core.engine.seeding import Streams
from core.engine.trainer import Trainer
from core.methods import Batch
from core.models import build_model
from jobs.speed.device.bench import Bench
from jobs.speed.device.sizes import RESNET
from jobs.speed.device.timing import Call

Settings = Callable[[torch.device], AbstractContextManager[None]]


def resnet_cell(**options: Any) -> Cell:
    """ResNet-18 with the paper's attack on one batch of generated images, unless ``options`` say otherwise."""
    batch = options.get("batch_size", 128)
    return Cell.from_flat({**RESNET, "train_images": batch + RESNET["validation_images"], **options})


def trainer_on(device: torch.device, cell: Cell) -> Trainer:
    """The engine's trainer of a single worker, with seed 0."""
    streams = Streams.spawn(0, {})
    model = build_model(cell.model, cell.data.shape, streams.integer("init"))
    return Trainer(cell, model, streams, Ranks(device=device))


def dataset_of(cell: Cell) -> Dataset:
    """The cell's generated images; they need no files."""
    return load_dataset(cell.data, Path())


def random_batch(trainer: Trainer) -> Batch:
    """A batch of random images on the trainer's device, with the random numbers of its method."""
    device, shape = trainer.ranks.device, trainer.cell.data.shape
    size = trainer.cell.training.batch_size
    generator = torch.Generator(device).manual_seed(0)
    x = torch.rand(size, shape.channels, shape.image_size, shape.image_size, generator=generator, device=device)
    x = x.contiguous(memory_format=trainer.memory_format)
    y = torch.arange(size, device=device) % shape.classes
    return Batch(x, y, trainer.method.draw(x, y, generator), 1.0, slice(0, size), size, 0)


def stepper(trainer: Trainer, settings: Settings = deterministic) -> Call:
    """A call that trains on one batch of random images, without the data path.

    Args:
        trainer: the trainer.
        settings: context of the step, given the device; trials use `deterministic`.
    """
    trainer.begin_epoch(1, trainer.cell.training.batch_size)
    batch = random_batch(trainer)

    def step() -> object:
        with settings(trainer.ranks.device), trainer.precision.float32_products():
            return trainer.method.step(trainer, batch)

    return step


def robust_network(bench: Bench) -> tuple[nn.Module, Cell, Dataset]:
    """A network that was adversarially trained for some seconds, its cell and its images, all on the device.

    The first row that needs it trains it and stores its weights beside the rows' files.
    """
    cell = Cell.from_flat(bench.sizes.robust)
    dataset = dataset_of(cell).to(bench.device)
    trainer = trainer_on(bench.device, cell)
    path = bench.folder / f"{bench.device.type}-network.pt"
    if path.exists():
        trainer.model.load_state_dict(torch.load(path, weights_only=True, map_location=bench.device))
    else:
        started, epoch = time.monotonic(), 0
        while time.monotonic() - started < bench.sizes.train_seconds:
            epoch += 1
            with deterministic(bench.device):
                row, _ = trainer.run_epoch(dataset.train, epoch)
        torch.save(trainer.model.state_dict(), path)
        accuracy = row["train/adv_acc"]
        bench.add("training accuracy of the judged network under attack", accuracy, "", epochs=epoch)
    return trainer.model.eval(), cell, dataset
