"""Cost of shuffling, augmenting and converting images, as a share of the time to train on them."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from core.config import Cell
from core.data.augment import crop_flip
from core.data.image_set import ImageSet, to_float
from core.data.order import epoch_order
from jobs.speed.result import Goal, Result, Settings, ratios
from jobs.speed.subjects import fields_cell, make_trainer, one_thread, resnet_cell, ten_step_cell, training_images
from jobs.speed.timing import take_turns

DATA, TRAINING = "data path", "training"


def data_path_shares(settings: Settings) -> Iterator[Result]:
    """Measure preset fields-quick's step, its 10-step variant (both with crop and flip), and ResNet-18's step."""
    with one_thread():
        yield _share(fields_cell(settings, augment="crop-flip"), settings)
        yield _share(ten_step_cell(settings, augment="crop-flip"), settings)
    yield _share(resnet_cell(settings), settings.fewer(), batches=1)


def run_data_path(images: ImageSet, batch_size: int, generator: torch.Generator) -> None:
    """The image processing of one epoch, without training: the same calls as in `core.engine.batches`."""
    order = epoch_order(len(images), generator)
    for chosen in order.split(batch_size):
        to_float(crop_flip(images.images[chosen], generator))
        images.labels[chosen]


def _share(cell: Cell, settings: Settings, batches: int | None = None) -> Result:
    images = training_images(cell, settings.device, batches)
    trainer = make_trainer(cell, settings.device)
    generator = torch.Generator(settings.device)
    size = cell.training.batch_size
    setting = f"{cell.model.model}, {cell.attack.attack_steps} attack step(s), batch {size}"
    setting += f", {torch.get_num_threads()} thread(s)"
    seconds = take_turns(
        {DATA: lambda: run_data_path(images, size, generator), TRAINING: lambda: trainer.run_epoch(images, 1)},
        settings,
        f"data-path: {setting}",
    )
    shares = tuple(100 * share for share in ratios(seconds, DATA, TRAINING))
    return Result("data-path", f"shuffle, crop, flip, to float / training; {setting}", shares, "%", Goal("<=", 2))
