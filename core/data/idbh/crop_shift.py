"""CropShift: a part of the image at a random place in a black frame, after a horizontal flip of half of the images."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class CropShifts(NamedTuple):
    """The crop and the shift of each image: int64, (n, 2), vertical before horizontal; ``flip`` is bool, (n,).

    The part of the image that begins at pixel ``crop`` and has ``removed`` pixels less than the image on each axis is
    moved to begin at pixel ``place``.
    """

    removed: Tensor
    crop: Tensor
    place: Tensor
    flip: Tensor


def draw_crop_shifts(n: int, strengths: int, generator: torch.Generator) -> CropShifts:
    """Crops and shifts of ``n`` images.

    The strength is uniform in 0 to ``strengths - 1``. It is the number of removed pixels, of which a uniform part is
    removed from the width and the rest from the height. Both places are uniform among those that are possible.
    """
    numbers = torch.rand((n, 6), generator=generator, device=generator.device, dtype=torch.float64)
    strength = (numbers[:, 0] * strengths).long()
    columns = (numbers[:, 1] * (strength + 1)).long()
    removed = torch.stack([strength - columns, columns], dim=1)
    crop, place = ((numbers[:, part] * (removed + 1)).long() for part in (slice(2, 4), slice(4, 6)))
    flip = torch.randint(2, (n,), generator=generator, device=generator.device).bool()
    return CropShifts(removed, crop, place, flip)


def apply_crop_shifts(images: Tensor, shifts: CropShifts) -> Tensor:
    """Flip, crop and shift images of shape (n, channels, height, width); pixels outside the crop are 0."""
    n, channels, height, width = images.shape
    rows, inside_rows = _sources(height, shifts, 0)
    columns, inside_columns = _sources(width, shifts, 1)
    columns = torch.where(shifts.flip[:, None], width - 1 - columns, columns)
    pixels = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
    inside = inside_rows[:, :, None] & inside_columns[:, None, :]
    moved = images.flatten(2).gather(2, pixels[:, None].expand(n, channels, -1)).view_as(images)
    return moved * inside[:, None]


def _sources(size: int, shifts: CropShifts, axis: int) -> tuple[Tensor, Tensor]:
    """The source of each pixel along an axis, int64 (n, size), and whether it lies in the crop."""
    removed, crop, place = (values[:, axis, None] for values in shifts[:3])
    position = torch.arange(size, device=removed.device) - place
    inside = (position >= 0) & (position < size - removed)
    return (position + crop).clamp(0, size - 1), inside
