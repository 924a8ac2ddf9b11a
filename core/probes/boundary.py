"""Boundary distortion: images that resist a whole attack step and are misclassified within it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.config.protocol import BOUNDARY_POINTS


@torch.no_grad()
def distorted(model: nn.Module, x: Tensor, y: Tensor, step: Tensor, points: int = BOUNDARY_POINTS) -> Tensor:
    """Whether each image is classified correctly at ``x + step`` and wrongly at ``x + k / points * step`` for some k.

    ``k`` goes from 1 to ``points - 1``; the image itself is not tested. Catastrophic overfitting shows as such images
    (Kim et al. 2021; SEAT, Li and Yu 2022, Figures 5 and C.1), with the step of FGSM.

    Args:
        model: bare network, in eval mode.
        x: ``[n, C, H, W]``.
        y: ``[n]`` int64.
        step: ``[n, C, H, W]``.
        points: number of equal parts of the step.

    Returns:
        ``[n]`` bool.
    """
    wrong = torch.zeros_like(y, dtype=torch.bool)
    for k in range(1, points):
        wrong |= model(x + k / points * step).argmax(1) != y
    return wrong & (model(x + step).argmax(1) == y)
