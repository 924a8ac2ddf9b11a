"""The augmentations by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from core.data.augment import crop_flip

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""Called with uint8 images, (n, channels, height, width), and a generator on their device."""


def find_augmentation(name: str) -> Augmentation:
    """The augmentation that the option ``augment`` names."""
    if name == "none":
        return lambda images, _: images
    if name == "crop-flip":
        return crop_flip
    from core.data.idbh import IDBH  # imported late: torchvision takes seconds, and every trial is a new process

    return IDBH[name]
