"""The batches of one epoch on one rank: shuffled, augmented and noised as one worker would, then sliced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from core.attacks import Pgd
from core.config import Cell
from core.data.augment import crop_flip
from core.data.image_set import ImageSet, to_float
from core.data.order import epoch_order, rank_slice
from core.engine.ranks import Ranks
from core.engine.seeding import Streams


class Batch(NamedTuple):
    """One rank's slice of a global batch.

    Attributes:
        x: (slice, channels, height, width), floats in [0, 1] (healing noise may leave them, if not clamped).
        y: (slice,) labels.
        start: where the inner attack starts, same shape as ``x``.
        weight: factor on the slice's mean loss that makes the mean over ranks the global batch's mean. It is 0 where a
            global batch has fewer images than ranks: a rank without an image of its own then sees the first one.
    """

    x: Tensor
    y: Tensor
    start: Tensor
    weight: float


def count_batches(images: int, batch_size: int, *, drop_last: bool) -> int:
    """Batches of an epoch over ``images`` images."""
    return images // batch_size if drop_last else -(-images // batch_size)


def iterate_epoch(
    train: ImageSet, cell: Cell, attack: Pgd, streams: Streams, ranks: Ranks, epoch: int, noisy_batches: int
) -> Iterator[Batch]:
    """Batches of a 1-based epoch.

    Random numbers are drawn for the global batch and then sliced, so that any number of workers sees the same batches,
    augmentation and attack starts. The first ``noisy_batches`` get the healing noise (Algorithm 1, lines 7-10).
    """
    options = cell.training
    device = ranks.device
    order = epoch_order(len(train), streams.generator("order", epoch, device=device))
    augment_rng = streams.generator("augmentation", epoch, device=device)
    attack_rng = streams.generator("attack", epoch, device=device)
    for number in range(count_batches(len(train), options.batch_size, drop_last=options.drop_last)):
        chosen = order[number * options.batch_size : (number + 1) * options.batch_size]
        images = train.images[chosen]
        if cell.data.augment == "crop-flip":
            images = crop_flip(images, augment_rng)
        x = to_float(images)
        if number < noisy_batches:
            x = x + cell.heal.heal_noise * torch.randn(x.shape, generator=augment_rng, device=device)
            if cell.heal.heal_clamp:
                x = x.clamp_(0, 1)
        start = attack.start_points(x, attack_rng)
        mine = [rank_slice(whole, ranks.rank, ranks.workers) for whole in (x, train.labels[chosen], start)]
        weight = len(mine[0]) * ranks.workers / len(chosen)
        x, y, start = mine if weight else (x[:1], train.labels[chosen[:1]], start[:1])
        yield Batch(x, y, start, weight)
