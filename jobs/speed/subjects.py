"""Cells, networks and data that rows measure, in sizes that suit the speed of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import nn

from core.config import Cell
from core.data.image_set import Dataset, ImageSet
from core.data.load import load_dataset
from core.engine.ranks import Ranks
from core.engine.seeding import Streams
from core.engine.trainer import Trainer
from core.models import build_model
from jobs.speed.options import RESNET_IMAGES
from jobs.speed.result import Settings
from jobs.speed.textbook import TextbookTrades

RESNET_OPTIONS = {
    "dataset": "fields",
    "classes": 100,
    "channels": 3,
    "image_size": 32,
    "train_images": RESNET_IMAGES,
    "validation_images": 100,
    "test_images": 100,
    "augment": "crop-flip",
    "model": "resnet18",
    "lr": 0.01,
}
"""The paper's network on generated images of CIFAR-100's shape; the low learning rate keeps the first steps from
diverging."""
MAX_STEP_SECONDS = 8.0
"""Largest duration of a textbook step, as a multiple of ``settings.seconds``."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Context in which torch uses one thread, as in a sweep, where Ray gives a trial one CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


Wrap = Callable[[nn.Module], nn.Module]


def _bare(network: nn.Module) -> nn.Module:
    return network


def fields_cell(settings: Settings, **options: object) -> Cell:
    """A cell of the preset fields-quick with other ``options``."""
    return Cell.from_flat({**settings.fields.entries[0].cell.flat(), **options})


def ten_step_cell(settings: Settings, **options: object) -> Cell:
    """Preset fields-quick's network and data with a 10-step attack and batches of 128."""
    step_size = fields_cell(settings).attack.epsilon / 4
    return fields_cell(settings, **{"attack_steps": 10, "attack_step_size": step_size, "batch_size": 128, **options})


def resnet_cell(settings: Settings, **options: object) -> Cell:
    """ResNet-18 with the paper's 10-step attack; the default batch size is `feasible_batch`."""
    batch = options.get("batch_size") or feasible_batch(settings)
    return Cell.from_flat({**RESNET_OPTIONS, **options, "batch_size": batch})


def feasible_batch(settings: Settings) -> int:
    """Largest batch size among 128, 64, ... 4 for which a textbook step of ResNet-18 does not take too long."""
    batch = 128
    while batch > 4 and batch * seconds_per_image(settings.device) > MAX_STEP_SECONDS * settings.seconds:
        batch //= 2
    return batch


@cache
def seconds_per_image(device: torch.device) -> float:
    """Seconds per image of a textbook step of ResNet-18."""
    textbook = make_textbook(Cell.from_flat({**RESNET_OPTIONS, "batch_size": 4}), device)
    x = torch.rand(4, 3, 32, 32, device=device)
    y = torch.arange(4, device=device)
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        textbook.step(x, y, x).item()
        seconds.append(time.perf_counter() - started)
    return seconds[-1] / 4


def make_trainer(cell: Cell, device: torch.device, wrap: Wrap = _bare) -> Trainer:
    """The engine's trainer of a single worker, with seed 0; ``wrap`` is applied to its network first."""
    streams = Streams.spawn(0, {})
    model = wrap(build_model(cell.model, cell.data.shape, streams.integer("init")))
    return Trainer(cell, model, streams, Ranks(device=device))


def make_textbook(
    cell: Cell, device: torch.device, wrap: Wrap = _bare, *, image_gradient_only: bool = False
) -> TextbookTrades:
    """The textbook's trainer, with the same initial weights."""
    model = wrap(build_model(cell.model, cell.data.shape, Streams.spawn(0, {}).integer("init")))
    return TextbookTrades(cell, model, device, image_gradient_only=image_gradient_only)


def dataset_of(cell: Cell) -> Dataset:
    """The cell's generated images; they need no files."""
    return load_dataset(cell.data, Path())


def training_images(cell: Cell, device: torch.device, batches: int | None = None) -> ImageSet:
    """The cell's training images for ``batches`` whole batches; None: as many batches as the images fill."""
    images = dataset_of(cell).train
    size = cell.training.batch_size
    count = (batches or len(images) // size) * size
    assert count <= len(images)
    return images.take(torch.arange(count)).to(device)
