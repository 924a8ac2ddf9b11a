"""Random crop with zero padding and horizontal flip, for a whole batch at once."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

PADDING = 4
WINDOWS = 2 * PADDING + 1
"""Number of positions of a window along one axis."""


class Crops(NamedTuple):
    """One window per image: its corner in the padded image (int64 [N], 0 to 8) and whether it is mirrored (bool)."""

    top: Tensor
    left: Tensor
    flip: Tensor


def draw_crops(n: int, generator: torch.Generator) -> Crops:
    """Crops for ``n`` images, uniform over the 81 windows and both directions, on the generator's device.

    Every rank of a trial draws the crops of the global batch and uses its slice of them, so that the images do not
    depend on the number of workers.
    """
    device = generator.device
    corners = torch.randint(WINDOWS, (2, n), generator=generator, device=device)
    flip = torch.randint(2, (n,), generator=generator, device=device).bool()
    return Crops(corners[0], corners[1], flip)


def apply_crops(images: Tensor, crops: Crops) -> Tensor:
    """Cut each image's window out of the zero-padded image: [N, C, H, W] of any dtype to the same shape."""
    n, channels, height, width = images.shape
    padded = F.pad(images, (PADDING,) * 4).flatten(2)
    windows = _windows(height, width, images.device)
    pixels = windows.index_select(0, (crops.top * WINDOWS + crops.left) * 2 + crops.flip)
    return padded.gather(2, pixels[:, None].expand(n, channels, -1)).view_as(images)


@cache
def _windows(height: int, width: int, device: torch.device) -> Tensor:
    """Indices of each window's pixels in the flat padded image: int64 [162, H * W], in the order top, left, flip."""
    corners = torch.arange(WINDOWS, device=device)
    rows = corners[:, None] + torch.arange(height, device=device)
    columns = torch.arange(width, device=device)
    columns = corners[:, None, None] + torch.stack([columns, width - 1 - columns])
    pixels = rows[:, None, None, :, None] * (width + 2 * PADDING) + columns[None, :, :, None, :]
    return pixels.reshape(-1, height * width)


def crop_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """The standard CIFAR augmentation of [N, C, H, W] images; the generator lives on their device."""
    return apply_crops(images, draw_crops(len(images), generator))
