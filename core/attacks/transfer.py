"""Transfer attacks, whose adversarial images are computed on another model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from core.attacks.base import Attack


@dataclass(frozen=True, kw_only=True)
class Transfer(Attack):
    """Runs ``attack`` on ``source`` instead of on the attacked model."""

    attack: Attack
    source: nn.Module
    """Model whose gradients are used, such as a surrogate or another checkpoint, on the device of the images."""
    epsilon: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "epsilon", self.attack.epsilon)

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
        """Adversarial images, see `Attack.perturb`; ``model`` is not used."""
        return replace(self.attack, batch_size=self.batch_size).perturb(self.source, x, y, rng)
