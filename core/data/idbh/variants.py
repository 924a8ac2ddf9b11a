"""The published variants of IDBH and their strengths."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from core.data.idbh.color_shape import COLOR_BIASED, SHAPE_BIASED, Policy, apply_operations, draw_operations
from core.data.idbh.crop_shift import apply_crop_shifts, draw_crop_shifts
from core.data.idbh.erasing import draw_rectangles, erase


@dataclass(frozen=True)
class Idbh:
    """One variant.

    Attributes:
        strengths: number of strengths of the crop, which are 0, 1, ... pixels.
        policy: operations on colour and shape.
        erased: probability of an erased rectangle.
        largest: largest area of the rectangle, as a share of the image.
    """

    strengths: int
    policy: Policy
    erased: float
    largest: float

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augmented images.

        Args:
            images: uint8, (n, 1 or 3, height, width), with more than ``strengths - 1`` pixels on each side.
            generator: generator on the images' device.
        """
        n, _, height, width = images.shape
        shifts = draw_crop_shifts(n, self.strengths, generator)
        operations = draw_operations(n, self.policy, generator)
        rectangles = draw_rectangles(n, height, width, self.erased, self.largest, generator)
        return erase(apply_operations(apply_crop_shifts(images, shifts), self.policy, operations), rectangles)


IDBH = {
    "idbh-weak": Idbh(strengths=11, policy=COLOR_BIASED, erased=0.5, largest=0.33),
    "idbh-strong": Idbh(strengths=11, policy=COLOR_BIASED, erased=1.0, largest=0.33),
    "idbh-svhn": Idbh(strengths=9, policy=SHAPE_BIASED, erased=1.0, largest=0.5),
}
"""The variants of the official code: two for CIFAR-10 and one for SVHN. All of them flip, the one for SVHN too."""
