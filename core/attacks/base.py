"""The contract of attacks and their common parts: model mode, random numbers, limits of images, image gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from core.attacks.losses import LogitGradient
from core.fast import FoldedNetwork, by_autograd
from core.fast.batch_norm import BATCH_NORMS

BnMode = Literal["eval", "train"]


@dataclass(frozen=True, kw_only=True)
class Attack(ABC):
    """An l-infinity attack on a model that maps images in [0, 1] to logits.

    An attack does not change the training flag of any module, BatchNorm buffers, parameter gradients or the global
    random state, even if it raises an error. All its random numbers come from the given generator, which may be on
    another device than the images.
    """

    epsilon: float
    """Radius of the ball, on the scale of the images ([0, 1])."""
    batch_size: int | None = None
    """Images per forward; None: all at once. The random numbers do not depend on it."""

    @abstractmethod
    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
        """Adversarial images.

        Args:
            model: bare network, not wrapped by DDP, that maps ``[n, C, H, W]`` to logits ``[n, classes]``.
            x: images ``[n, C, H, W]`` in [0, 1].
            y: labels ``[n]``, int64.
            rng: source of all random numbers.

        Returns:
            Images of the shape and type of ``x``, within ``epsilon`` of ``x`` and within [0, 1].
        """


class SharedAttack(Attack):
    """An attack whose images can be divided among processes, because an image's result does not depend on the others.

    The random numbers of an image depend on its place in the whole set, and are drawn for the whole set.
    """

    @abstractmethod
    def perturb_rows(self, model: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator, rows: Tensor | None) -> Tensor:
        """The rows ``rows`` (int64 ``[k]``) of `perturb`'s result, ``[k, C, H, W]``; None: all rows.

        The other images are not attacked.
        """

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
        """Adversarial images, see `Attack.perturb`."""
        return self.perturb_rows(model, x, y, rng, None)


@contextmanager
def attack_mode(model: nn.Module, bn: BnMode = "eval") -> Iterator[None]:
    """Put every module in eval mode and, on exit, restore its previous mode.

    With ``bn="train"`` BatchNorm layers normalise by batch statistics, and neither read nor update running statistics.
    """
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    normed = [m for m in model.modules() if isinstance(m, BATCH_NORMS)] if bn == "train" else []
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
    """Lower and upper limits of the ball's intersection with the box [0, 1]. Clamping to them is the projection."""
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
    """Logits of images ``[n, C, H, W]``, and a loss's gradient by the images; ``ascent`` is its logit gradient."""
    if isinstance(model, FoldedNetwork):
        return model.image_gradient(x, ascent)
    return by_autograd(model, x, ascent)
