"""What every attack shares: the contract, the mode it runs a model in, the ball and the box."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.attacks.losses import LogitGradient
from core.fast import FoldedNetwork, by_autograd

BnMode = Literal["eval", "train"]


@dataclass(frozen=True, kw_only=True)
class Attack(ABC):
    """An l-infinity attack on a model that maps images in [0, 1] to logits.

    Whatever happens, it leaves as they were: the training flag of each module, BatchNorm buffers, parameter gradients
    and the global random state. All randomness comes from the generator that it is given, which may live on another
    device than the images.
    """

    epsilon: float
    """Radius of the ball, in the images' unit ([0, 1])."""
    batch_size: int | None = None
    """Images per forward; None: all at once. Random numbers don't depend on it."""

    @abstractmethod
    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
        """Adversarial images.

        Args:
            model: maps ``[n, C, H, W]`` to logits ``[n, classes]``; bare, not wrapped by DDP.
            x: images ``[n, C, H, W]`` in [0, 1].
            y: labels ``[n]``, int64.
            rng: source of all random numbers.

        Returns:
            Images of the shape and type of ``x``, within ``epsilon`` of ``x`` and within [0, 1].
        """


@contextmanager
def attack_mode(model: nn.Module, bn: BnMode = "eval") -> Iterator[None]:
    """Put every module in eval mode and, on exit, back in the mode it had.

    With ``bn="train"`` BatchNorm layers normalise by batch statistics, and neither read nor update running ones.
    """
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    normed = [m for m in model.modules() if isinstance(m, _BatchNorm)] if bn == "train" else []
    tracked = [layer.track_running_stats for layer in normed]
    for layer in normed:
        layer.training, layer.track_running_stats = True, False
    try:
        yield
    finally:
        for layer, track in zip(normed, tracked, strict=True):
            layer.training, layer.track_running_stats = False, track
        for module in training:
            module.training = True


def bounds(x: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Lower and upper limit of the ball's intersection with the box; clamping to them is the projection."""
    return (x - epsilon).clamp_(min=0), (x + epsilon).clamp_(max=1)


def uniform(x: Tensor, rng: torch.Generator) -> Tensor:
    """Uniform numbers in [-1, 1) of the shape, type and device of ``x``."""
    return torch.rand(x.shape, generator=rng, device=rng.device, dtype=x.dtype).mul_(2).sub_(1).to(x.device)


def gaussian(x: Tensor, rng: torch.Generator) -> Tensor:
    """Standard normal numbers of the shape, type and device of ``x``."""
    return torch.randn(x.shape, generator=rng, device=rng.device, dtype=x.dtype).to(x.device)


@torch.no_grad()
def forward(model: nn.Module, x: Tensor, batch_size: int | None) -> Tensor:
    """Logits ``[n, classes]`` without gradient, at most ``batch_size`` images at a time."""
    if batch_size is None or len(x) <= batch_size:
        return model(x)
    return torch.cat([model(part) for part in x.split(batch_size)])


def image_gradient(model: nn.Module, x: Tensor, ascent: LogitGradient) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient at images ``[n, C, H, W]`` of a loss that has the gradient ``ascent(logits)`` there."""
    if isinstance(model, FoldedNetwork):
        return model.image_gradient(x, ascent)
    return by_autograd(model, x, ascent)
