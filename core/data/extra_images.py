"""The extra images in the batches of one epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from core.data.image_set import ImageSet
from core.data.order import epoch_order


class ExtraImages:
    """Adds extra images to the batches of one epoch, in a random order without replacement.

    If an epoch needs more of them than there are, all are used before any is used again.

    Args:
        extra: the images; None adds nothing and draws no random number.
        per_batch: number of extra images in a whole batch.
        batches: number of batches in the epoch.
        generator: generator on the images' device. The same one places the extra images among the others.
    """

    def __init__(self, extra: ImageSet | None, per_batch: int, batches: int, generator: torch.Generator) -> None:
        self.extra, self.per_batch, self.generator = extra, per_batch, generator
        if extra:
            rounds = -(-per_batch * batches // len(extra))
            self.order = torch.cat([epoch_order(len(extra), generator) for _ in range(rounds)])

    def mixed(self, images: Tensor, labels: Tensor, number: int, share: float) -> tuple[Tensor, Tensor]:
        """The images and labels of a batch with extra ones at random places.

        The places are random because each rank has a contiguous part of the batch, and its BatchNorm should see both.

        Args:
            images: images of the data set itself.
            labels: their labels.
            number: 0-based number of the batch in the epoch.
            share: size of the batch as a share of a whole one. The extra images have the same share.
        """
        if self.extra is None:
            return images, labels
        first = number * self.per_batch
        chosen = self.order[first : first + round(self.per_batch * share)]
        places = epoch_order(len(images) + len(chosen), self.generator)
        return (
            torch.cat([images, self.extra.images[chosen]])[places],
            torch.cat([labels, self.extra.labels[chosen]])[places],
        )
