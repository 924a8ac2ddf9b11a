"""Labelled images that are held in the memory of one device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class ImageSet:
    """Images (uint8 [N, C, H, W], 0 to 255) and their labels (int64 [N]) on the same device."""

    images: Tensor
    labels: Tensor
    extra: ImageSet | None = None
    """Pseudo-labelled images, of which every training batch has a share; only of a training set."""

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> ImageSet:
        """The same set on ``device``."""
        extra = self.extra.to(device) if self.extra else None
        return ImageSet(self.images.to(device), self.labels.to(device), extra)

    def take(self, indices: Tensor | NDArray[np.int64]) -> ImageSet:
        """The images at ``indices`` (int64 [n]), in that order."""
        chosen = torch.as_tensor(indices)
        return ImageSet(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True)
class Dataset:
    """Three disjoint sets. The test set must not be used for any selection."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet

    def to(self, device: torch.device | str) -> Dataset:
        """The same sets on ``device``."""
        return Dataset(self.train.to(device), self.validation.to(device), self.test.to(device))


def to_float(images: Tensor) -> Tensor:
    """uint8 images as float32 in [0, 1], same shape and device."""
    return images.float() / 255
