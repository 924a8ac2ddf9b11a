"""The batches of one epoch on one rank, which are the rank's slices of the batches that a single worker would see."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from core.config import Cell
from core.data.augmentation import find_augmentation
from core.data.extra_images import ExtraImages
from core.data.image_set import ImageSet, to_float
from core.data.order import epoch_order, rank_rows
from core.engine.ranks import Ranks
from core.engine.seeding import Streams
from core.methods import Batch, Drawn

Draw = Callable[[Tensor, Tensor, torch.Generator], Drawn]
"""The type of `core.methods.Method.draw`: images, labels and generator -> random numbers of the batch."""


def iterate_epoch(
    train: ImageSet, cell: Cell, draw: Draw, streams: Streams, ranks: Ranks, epoch: int, noisy_batches: int
) -> Iterator[Batch]:
    """Yield this rank's slices of the batches of an epoch.

    All random numbers, including those of ``draw``, are drawn for the global batch and then sliced. The batches,
    augmentation and attack starts are therefore the same for any number of workers.

    Args:
        train: the training images, on this rank's device, and extra ones if the cell uses them.
        cell: options of augmentation, batch size and healing noise.
        draw: draws the method's random numbers of a global batch.
        streams: the trial's random streams.
        ranks: this rank's place among the trial's workers.
        epoch: 1-based.
        noisy_batches: number of batches at the start of the epoch that get healing noise (Algorithm 1, lines 7-10).
    """
    device = ranks.device
    augment = find_augmentation(cell.data.augment)
    order = epoch_order(len(train), streams.generator("order", epoch, device=device))
    augment_rng = streams.generator("augmentation", epoch, device=device)
    attack_rng = streams.generator("attack", epoch, device=device)
    size, batches = cell.labelled_per_batch, cell.count_batches(len(train))
    added = ExtraImages(train.extra, cell.extra_per_batch, batches, streams.generator("order", epoch, 1, device=device))
    for number in range(batches):
        chosen = order[number * size : (number + 1) * size]
        images, labels = added.mixed(train.images[chosen], train.labels[chosen], number, len(chosen) / size)
        x = to_float(augment(images, augment_rng))
        if number < noisy_batches:
            x = x + cell.heal.heal_noise * torch.randn(x.shape, generator=augment_rng, device=device)
            if cell.heal.heal_clamp:
                x = x.clamp_(0, 1)
        drawn = draw(x, labels, attack_rng)
        rows = rank_rows(len(x), ranks.rank, ranks.workers)
        weight = (rows.stop - rows.start) * ranks.workers / len(x)
        rows = rows if weight else slice(0, 1)
        mine = {name: values[rows] for name, values in drawn.items()}
        yield Batch(x[rows], labels[rows], mine, weight, rows, len(x), number)
