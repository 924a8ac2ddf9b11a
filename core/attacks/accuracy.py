"""Accuracy of a model under an attack."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from core.attacks.base import Attack, SharedAttack, attack_mode, forward
from core.attacks.float32 import TENSOR_FLOATS, float32_products, full_float32
from core.data.image_set import to_float
from core.fast import FoldedNetwork

ALL = slice(None)


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
    rows: slice = ALL,
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
        rows: the images that are measured. With a `SharedAttack`, the result is that part of the result of all images,
            because an image's random numbers depend on its place among all.
    """
    device = next(model.parameters()).device
    network = FoldedNetwork.of(model)
    y = labels.to(device)
    x = images.to(device)
    x = to_float(x) if x.dtype == torch.uint8 else x.float()
    mine = torch.arange(len(y), device=device)[rows]
    with full_float32(device), attack_mode(network):
        if len(mine) == 0:
            return torch.zeros(0, dtype=torch.bool, device=device)
        if attack is not None:
            attack = replace(attack, batch_size=batch_size)
            if search is None:
                found = _perturbed(network, attack, x, y, seed, mine)
                return forward(network, found, batch_size).argmax(1) == y[mine]
        right = forward(network, x[mine], batch_size).argmax(1) == y[mine]
        if attack is not None and search is not None:
            right[right.clone()] = _resists_search(network, model, attack, x, y, mine[right], seed, search)
        return right


def _resists_search(
    network: nn.Module,
    model: nn.Module,
    attack: Attack,
    x: Tensor,
    y: Tensor,
    rows: Tensor,
    seed: int,
    dtype: torch.dtype,
) -> Tensor:
    """`resists` for the images ``rows``, which ``network``, the model in float32, classifies correctly."""
    fast = FoldedNetwork.of(model, dtype)
    with float32_products("tf32"), attack_mode(fast):
        found = _perturbed(fast, attack, x, y, seed, rows)
        missed = forward(fast, found, attack.batch_size).argmax(1) == y[rows]
    resisted = forward(network, found, attack.batch_size).argmax(1) == y[rows]
    if (again := resisted & ~missed).any():
        found = _perturbed(network, attack, x, y, seed, rows[again])
        resisted[again] = forward(network, found, attack.batch_size).argmax(1) == y[rows[again]]
    return resisted


def _perturbed(network: nn.Module, attack: Attack, x: Tensor, y: Tensor, seed: int, rows: Tensor) -> Tensor:
    """Adversarial images of ``x[rows]``."""
    rng = torch.Generator().manual_seed(seed)
    if isinstance(attack, SharedAttack):
        return attack.perturb_rows(network, x, y, rng, rows)
    return attack.perturb(network, x[rows], y[rows], rng)


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
