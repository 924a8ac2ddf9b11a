"""Accuracy of a model under an attack."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from core.attacks.base import Attack, attack_mode, forward
from core.attacks.float32 import TENSOR_FLOATS, float32_products, full_float32
from core.data.image_set import to_float
from core.fast import FoldedNetwork


def fastest_search(device: torch.device) -> torch.dtype | None:
    """The type in which attacks search fastest on ``device``: bfloat16 on GPUs that have it; None: float32."""
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= TENSOR_FLOATS:
        return torch.bfloat16
    return None


def resists(
    model: nn.Module,
    attack: Attack | None,
    images: Tensor,
    labels: Tensor,
    seed: int,
    batch_size: int = 512,
    search: torch.dtype | None = None,
) -> Tensor:
    """Which images are classified correctly after the attack, ``[N]`` bool.

    The measurement runs in eval mode and in float32, on the model's device. The attack gets all images at once, so that
    its random numbers depend on ``seed`` and not on ``batch_size``.

    With ``search`` the attack looks for adversarial images in that type, and only those that it has found are judged in
    float32. Images that are misclassified without an attack are not attacked. An image that fools the network in
    ``search`` but not in float32 is attacked once more, in float32.

    Args:
        model: bare network, not wrapped by DDP.
        attack: the attack, or None for clean images.
        images: ``[N, C, H, W]``, uint8 or floats in [0, 1].
        labels: ``[N]`` int64.
        seed: seed of the attack's random numbers.
        batch_size: images per forward.
        search: type of weights and activations in the attack, except in the first and the last layer with weights;
            None: float32 in all of them.
    """
    device = next(model.parameters()).device
    network = FoldedNetwork.of(model)
    y = labels.to(device)
    x = images.to(device)
    x = to_float(x) if x.dtype == torch.uint8 else x.float()
    rng = torch.Generator().manual_seed(seed)
    with full_float32(device), attack_mode(network):
        if attack is None:
            return forward(network, x, batch_size).argmax(1) == y
        attack = replace(attack, batch_size=batch_size)
        if search is None:
            return forward(network, attack.perturb(network, x, y, rng), batch_size).argmax(1) == y
        right = forward(network, x, batch_size).argmax(1) == y
        right[right.clone()] = _resists_search(network, model, attack, x[right], y[right], rng, search)
        return right


def _resists_search(
    network: nn.Module, model: nn.Module, attack: Attack, x: Tensor, y: Tensor, rng: torch.Generator, dtype: torch.dtype
) -> Tensor:
    """`resists` for images that ``network``, the model in float32, classifies correctly."""
    fast = FoldedNetwork.of(model, dtype)
    with float32_products("tf32"), attack_mode(fast):
        found = attack.perturb(fast, x, y, rng)
        missed = forward(fast, found, attack.batch_size).argmax(1) == y
    resisted = forward(network, found, attack.batch_size).argmax(1) == y
    if (again := resisted & ~missed).any():
        found = attack.perturb(network, x[again], y[again], rng)
        resisted[again] = forward(network, found, attack.batch_size).argmax(1) == y[again]
    return resisted


def robust_accuracy(
    model: nn.Module,
    attack: Attack | None,
    images: Tensor,
    labels: Tensor,
    seed: int,
    batch_size: int = 512,
    search: torch.dtype | None = None,
) -> float:
    """Share of images that are classified correctly after the attack; see `resists`."""
    return resists(model, attack, images, labels, seed, batch_size, search).sum().item() / len(labels)
