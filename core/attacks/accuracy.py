"""Accuracy of a model under an attack."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from core.attacks.base import Attack, attack_mode, forward
from core.attacks.float32 import full_float32
from core.data.image_set import to_float
from core.fast import FoldedNetwork


def resists(
    model: nn.Module, attack: Attack | None, images: Tensor, labels: Tensor, seed: int, batch_size: int = 512
) -> Tensor:
    """Which images are classified correctly after the attack, ``[N]`` bool.

    The measurement runs in eval mode and in float32, on the model's device. The attack gets all images at once, so that
    its random numbers depend on ``seed`` and not on ``batch_size``.

    Args:
        model: bare network, not wrapped by DDP.
        attack: the attack, or None for clean images.
        images: ``[N, C, H, W]``, uint8 or floats in [0, 1].
        labels: ``[N]`` int64.
        seed: seed of the attack's random numbers.
        batch_size: images per forward.
    """
    device = next(model.parameters()).device
    network = FoldedNetwork.of(model)
    y = labels.to(device)
    x = images.to(device)
    x = to_float(x) if x.dtype == torch.uint8 else x.float()
    with full_float32(device), attack_mode(network):
        if attack is not None:
            rng = torch.Generator().manual_seed(seed)
            x = replace(attack, batch_size=batch_size).perturb(network, x, y, rng)
        return forward(network, x, batch_size).argmax(1) == y


def robust_accuracy(
    model: nn.Module, attack: Attack | None, images: Tensor, labels: Tensor, seed: int, batch_size: int = 512
) -> float:
    """Share of images that are classified correctly after the attack; see `resists`."""
    return resists(model, attack, images, labels, seed, batch_size).sum().item() / len(labels)
