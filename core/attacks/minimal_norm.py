"""Attacks in l2 without a radius, which search the nearest misclassified image. They are those of foolbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import torch
from foolbox import PyTorchModel
from foolbox.attacks import L2CarliniWagnerAttack, L2DeepFoolAttack
from torch import Tensor, nn

from core.attacks.base import attack_mode

MinimalNorm = Literal["minimal-deepfool", "minimal-cw"]


class Nearest(NamedTuple):
    """What an attack without a radius found for each image.

    Attributes:
        right: ``[n]`` bool, whether the image is classified correctly without an attack.
        fooled: ``[n]`` bool, whether the image that was found is misclassified.
        norm: ``[n]``, l2 distance of that image; 0 where the image itself is misclassified.
    """

    right: Tensor
    fooled: Tensor
    norm: Tensor


def nearest_misclassified(model: nn.Module, x: Tensor, y: Tensor, name: MinimalNorm, steps: int) -> Nearest:
    """DeepFool (Moosavi-Dezfooli et al. 2016) or C&W (Carlini and Wagner 2017, 9 steps of binary search) in l2.

    Both are deterministic, and stay within [0, 1]. DeepFool looks at the 10 classes with the largest logits.

    Args:
        model: bare network.
        x: images ``[n, C, H, W]`` in [0, 1].
        y: labels ``[n]`` int64.
        name: the attack.
        steps: largest number of steps, for C&W in each step of its binary search.
    """
    attack: Any = L2DeepFoolAttack(steps=steps) if name == "minimal-deepfool" else L2CarliniWagnerAttack(steps=steps)
    with attack_mode(model), _without_weight_gradients(model):
        with torch.no_grad():
            right = model(x).argmax(1) == y
        found, _, _ = attack(PyTorchModel(model, bounds=(0, 1), device=x.device), x, y, epsilons=None)
        found = torch.where(right.view(-1, 1, 1, 1), found, x)
        with torch.no_grad():
            fooled = model(found).argmax(1) != y
    return Nearest(right, fooled, (found - x).flatten(1).norm(dim=1))


@contextmanager
def _without_weight_gradients(model: nn.Module) -> Iterator[None]:
    """The library calls ``backward``, which would add to the gradients of the weights."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
