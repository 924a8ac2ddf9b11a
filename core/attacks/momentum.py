"""MI-FGSM, whose steps follow an accumulated gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.attacks.base import Attack, attack_mode, bounds, image_gradient
from core.attacks.losses import cross_entropy


@dataclass(frozen=True, kw_only=True)
class MiFgsm(Attack):
    """Momentum iterative FGSM (Dong et al. 2018, Algorithm 1) from the clean image, with steps of ``epsilon / steps``.

    Projection to the ball has no effect, because the steps add up to ``epsilon``. Images are clamped to the box after
    each step.
    """

    steps: int = 10
    decay: float = 1.0

    @torch.no_grad()
    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
        """Adversarial images, see `Attack.perturb`. The attack is deterministic."""
        size = self.batch_size or len(x)
        with attack_mode(model):
            parts = [self._steps(model, *part) for part in zip(x.split(size), y.split(size), strict=True)]
        return torch.cat(parts)

    def _steps(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        limits = bounds(x, self.epsilon)
        ascent = cross_entropy(y)
        momentum = torch.zeros_like(x)
        x_adv = x
        for _ in range(self.steps):
            _, gradient = image_gradient(model, x_adv, ascent)
            length = gradient.flatten(1).abs().sum(1).clamp(min=torch.finfo(x.dtype).tiny)
            momentum = momentum * self.decay + gradient / length[:, None, None, None]
            x_adv = torch.add(x_adv, momentum.sign(), alpha=self.epsilon / self.steps).clamp_(*limits)
        return x_adv
