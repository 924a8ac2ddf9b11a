"""Random erasing (Zhong et al. 2020) as in ``torchvision.transforms.RandomErasing``, with rectangles for a batch.

torchvision draws the rectangle of one image from torch's global generator.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

SMALLEST = 0.02
"""Smallest area of a rectangle before rounding, as a share of the image."""
MAX_RATIO = 3.3
MIN_RATIO = 0.3
"""Bounds of height divided by width. The logarithm of the ratio is uniform."""
ATTEMPTS = 10
"""Rectangles that are drawn for an image. The first that fits is used, and none if none fits."""


class Rectangles(NamedTuple):
    """First row, first column, height and width of one rectangle per image, int64 (n,); empty ones have no height."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


def draw_rectangles(
    n: int, height: int, width: int, probability: float, largest: float, generator: torch.Generator
) -> Rectangles:
    """Rectangles in ``n`` images of ``height`` by ``width`` pixels.

    Args:
        n: number of images.
        height: of the images.
        width: of the images.
        probability: probability that an image has a rectangle.
        largest: largest area of a rectangle before rounding, as a share of the image.
        generator: generator on the images' device.
    """
    numbers = torch.rand((n, 3 + 2 * ATTEMPTS), generator=generator, device=generator.device, dtype=torch.float64)
    area = height * width * (SMALLEST + (largest - SMALLEST) * numbers[:, 3 : 3 + ATTEMPTS])
    logarithms = torch.tensor([MIN_RATIO, MAX_RATIO], dtype=torch.float64, device=generator.device).log()
    ratio = (logarithms[0] + (logarithms[1] - logarithms[0]) * numbers[:, 3 + ATTEMPTS :]).exp()
    heights, widths = (area * ratio).sqrt().round().long(), (area / ratio).sqrt().round().long()
    fits = (heights < height) & (widths < width)
    first = fits.long().argmax(1, keepdim=True)
    chosen = fits.any(1) & (numbers[:, 0] < probability)
    h, w = heights.gather(1, first)[:, 0] * chosen, widths.gather(1, first)[:, 0] * chosen
    top, left = (numbers[:, 1] * (height - h + 1)).long(), (numbers[:, 2] * (width - w + 1)).long()
    return Rectangles(top, left, h, w)


def erase(images: Tensor, rectangles: Rectangles) -> Tensor:
    """Images of shape (n, channels, height, width) with black rectangles."""
    top, left, h, w = (values[:, None] for values in rectangles)
    rows, columns = (torch.arange(size, device=images.device) for size in images.shape[2:])
    hidden_rows, hidden_columns = (rows >= top) & (rows < top + h), (columns >= left) & (columns < left + w)
    return images.masked_fill((hidden_rows[:, :, None] & hidden_columns[:, None, :])[:, None], 0)
