"""Random crop with zero padding and horizontal flip, for a whole batch at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

PADDING = 4


class Crops(NamedTuple):
    """One window per image: its corner in the padded image (int64 [N], 0 to 8) and whether it is mirrored (bool)."""

    top: Tensor
    left: Tensor
    flip: Tensor


def draw_crops(n: int, generator: torch.Generator) -> Crops:
    """Crops for ``n`` images, uniform over the 81 windows and both directions, on the generator's device.

    Ranks of one trial draw for the global batch and take their slice, so that the number of workers does not change
    the images.
    """
    device = generator.device
    corners = torch.randint(2 * PADDING + 1, (2, n), generator=generator, device=device)
    flip = torch.randint(2, (n,), generator=generator, device=device).bool()
    return Crops(corners[0], corners[1], flip)


def apply_crops(images: Tensor, crops: Crops) -> Tensor:
    """Cut each image's window out of its zero-padded self: [N, C, H, W] of any dtype, result of the same shape."""
    n, channels, height, width = images.shape
    padded = F.pad(images, (PADDING,) * 4)
    rows = crops.top[:, None] + torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device).expand(n, width)
    columns = crops.left[:, None] + torch.where(crops.flip[:, None], width - 1 - columns, columns)
    pixels = (rows[:, :, None] * padded.shape[3] + columns[:, None, :]).view(n, 1, height * width)
    return padded.flatten(2).gather(2, pixels.expand(n, channels, -1)).view_as(images)


def crop_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """The standard CIFAR augmentation of [N, C, H, W] images; the generator lives on their device."""
    return apply_crops(images, draw_crops(len(images), generator))
