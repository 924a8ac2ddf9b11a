"""One operation on the colour or shape of each image, with a random strength."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as V

Apply = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Called with images, uint8 (n, channels, height, width), strengths, float32 (n,), and axes, int64 (n,), 0 or 1."""


class Operation(NamedTuple):
    """An operation of a policy.

    Attributes:
        share: probability of the operation.
        name: its name in the paper.
        low: smallest strength.
        high: supremum of the strengths; for a rotation, whose strengths are whole degrees, the largest strength.
    """

    share: float
    name: str
    low: float = 0.0
    high: float = 0.0


Policy = tuple[Operation, ...]
"""Operations whose shares sum to 1."""

COLOR_BIASED: Policy = (
    Operation(0.125, "saturation", 0.1, 1.9),
    Operation(0.125, "brightness", 0.5, 1.9),
    Operation(0.125, "contrast", 0.5, 1.9),
    Operation(0.125, "sharpness", 0.1, 1.9),
    Operation(0.125, "autocontrast"),
    Operation(0.125, "equalize"),
    Operation(0.125, "shear", 0.05, 0.15),
    Operation(0.125, "rotation", 1, 10),
)
SHAPE_BIASED: Policy = (
    Operation(0.08, "saturation", 0.1, 1.9),
    Operation(0.08, "brightness", 0.5, 1.9),
    Operation(0.04, "contrast", 0.5, 1.9),
    Operation(0.08, "sharpness", 0.1, 1.9),
    Operation(0.04, "autocontrast"),
    Operation(0.08, "equalize"),
    Operation(0.3, "shear", 0.05, 0.35),
    Operation(0.3, "rotation", 1, 30),
)


class Operations(NamedTuple):
    """The operation of each image, each (n,): its number in the policy, its strength, and the axis of a shear.

    Strengths of shears (radians) and rotations (degrees) have a random sign.
    """

    number: Tensor
    strength: Tensor
    axis: Tensor


def draw_operations(n: int, policy: Policy, generator: torch.Generator) -> Operations:
    """Operations for ``n`` images, on the generator's device."""
    device = generator.device
    numbers = torch.rand((n, 2), generator=generator, device=device, dtype=torch.float64)
    signs, axis = torch.randint(2, (2, n), generator=generator, device=device)
    ends = torch.tensor([operation.share for operation in policy], dtype=torch.float64, device=device).cumsum(0)
    number = torch.searchsorted(ends[:-1].contiguous(), numbers[:, 0].contiguous(), right=True)
    low, high = torch.tensor([operation[2:] for operation in policy], dtype=torch.float64, device=device).t()
    whole, signed = (
        torch.tensor([operation.name in names for operation in policy], device=device)[number]
        for names in (("rotation",), ("shear", "rotation"))
    )
    strength = low[number] + (high - low)[number] * numbers[:, 1]
    strength = torch.where(whole, (low[number] + (high - low + 1)[number] * numbers[:, 1]).floor(), strength)
    strength = torch.where(signed & signs.bool(), -strength, strength)
    return Operations(number, strength.float(), axis)


def apply_operations(images: Tensor, policy: Policy, operations: Operations) -> Tensor:
    """Images, uint8 (n, 1 or 3, height, width), after one operation each."""
    result = images.clone()
    for number, operation in enumerate(policy):
        rows = (operations.number == number).nonzero()[:, 0]
        if len(rows):
            result[rows] = APPLY[operation.name](images[rows], operations.strength[rows], operations.axis[rows])
    return result


def _blended(degenerate: Callable[[Tensor, float], Tensor], images: Tensor, factor: Tensor, _: Tensor) -> Tensor:
    """``factor * image + (1 - factor) * degenerate image`` for each image, cut to whole levels as in torchvision.

    torchvision's functions take one factor for all images. Their result for factor 0 is the degenerate image.
    """
    factor = factor.view(-1, 1, 1, 1)
    other = degenerate(images, 0.0).float()
    return (factor * images + (1 - factor) * other).clamp_(0, 255).to(torch.uint8)


def _sheared(images: Tensor, radians: Tensor, axis: Tensor) -> Tensor:
    """Images sheared along the horizontal axis (0) or the vertical one (1)."""
    moves, ones, zeros = radians.tan(), torch.ones_like(radians), torch.zeros_like(radians)
    across, down = torch.where(axis == 0, moves, zeros), torch.where(axis == 1, moves, zeros)
    return _resampled(images, torch.stack([ones, across, down, ones], dim=1).view(-1, 2, 2))


def _rotated(images: Tensor, degrees: Tensor, _: Tensor) -> Tensor:
    """Images rotated counter-clockwise."""
    angles = degrees.deg2rad()
    cosine, sine = angles.cos(), angles.sin()
    return _resampled(images, torch.stack([cosine, -sine, sine, cosine], dim=1).view(-1, 2, 2))


def _resampled(images: Tensor, sources: Tensor) -> Tensor:
    """Nearest-neighbour resampling: ``sources``, (n, 2, 2), maps a pixel's (x, y) from the centre to its source's.

    torchvision's affine functions take one matrix for all images.
    """
    height, width = images.shape[2:]
    sides = torch.tensor([width, height], device=images.device)
    relative = sources * sides / sides[:, None]  # grid_sample's coordinates are from -1 to 1 on both axes
    theta = torch.cat([relative, torch.zeros_like(relative[:, :, :1])], dim=2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, mode="nearest", align_corners=False).to(torch.uint8)


APPLY: dict[str, Apply] = {
    "saturation": partial(_blended, V.adjust_saturation),
    "brightness": partial(_blended, V.adjust_brightness),
    "contrast": partial(_blended, V.adjust_contrast),
    "sharpness": partial(_blended, V.adjust_sharpness),
    "autocontrast": lambda images, _, __: V.autocontrast(images),
    "equalize": lambda images, _, __: V.equalize(images),
    "shear": _sheared,
    "rotation": _rotated,
}
"""Each operation by its name."""
