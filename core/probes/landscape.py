"""Loss on a plane through an image (TRADES instability paper, Figure 1)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.attacks.base import attack_mode
from core.attacks.float32 import full_float32


class Landscape(NamedTuple):
    """Cross-entropy at ``x + a * r1 + b * r2``."""

    offsets: np.ndarray
    """``[points]``: the values of a, which are also those of b, in units of the images."""
    loss: np.ndarray
    """``[n, points, points]`` float32, indexed by image, a, b."""


def loss_landscape(
    model: nn.Module, x: Tensor, y: Tensor, radius: float, points: int, seed: int, batch_size: int = 512
) -> Landscape:
    """Loss on a square of the plane spanned by r1, the sign of the input gradient, and r2, random +-1 per pixel.

    Offsets go from ``-radius`` to ``radius``; the [0, 1] box is not applied. The model is
    evaluated in eval mode and float32.

    Args:
        model: bare network.
        x: images ``[n, C, H, W]`` in [0, 1], on the model's device.
        y: labels ``[n]`` int64.
        radius: largest offset in either direction.
        points: grid points per axis.
        seed: seed of r2.
        batch_size: images per forward pass.
    """
    offsets = torch.linspace(-radius, radius, points, device=x.device)
    signs = torch.randint(0, 2, x.shape, generator=torch.Generator().manual_seed(seed))
    r2 = signs.to(x).mul_(2).sub_(1)
    with full_float32(x.device), attack_mode(model):
        leaf = x.detach().requires_grad_()
        with torch.enable_grad():
            loss = F.cross_entropy(model(leaf), y, reduction="sum")
        r1 = torch.autograd.grad(loss, leaf)[0].sign()
        surface = plane_losses(model, x, y, r1, r2, offsets, batch_size)
    return Landscape(offsets.cpu().numpy(), surface.cpu().numpy())


@torch.no_grad()
def plane_losses(
    model: nn.Module, x: Tensor, y: Tensor, r1: Tensor, r2: Tensor, offsets: Tensor, batch_size: int = 512
) -> Tensor:
    """Cross-entropy at ``x + a * r1 + b * r2`` for all ``a`` and ``b`` in ``offsets``, ``[n, points, points]``.

    Args:
        model: bare network, in eval mode.
        x: images ``[n, C, H, W]``; the [0, 1] box is not applied.
        y: labels ``[n]`` int64.
        r1: first direction of each image, of the shape of ``x``.
        r2: second direction of each image.
        offsets: ``[points]``.
        batch_size: images per forward pass.
    """
    along = offsets[:, None, None, None]
    surface = torch.empty(len(x), len(offsets), len(offsets), dtype=x.dtype, device=x.device)
    for i in range(len(x)):
        plane = x[i] + (along * r1[i])[:, None] + (along * r2[i])[None, :]
        losses = [
            F.cross_entropy(model(part), y[i].expand(len(part)), reduction="none")
            for part in plane.flatten(0, 1).split(batch_size)
        ]
        surface[i] = torch.cat(losses).view(len(offsets), len(offsets))
    return surface
