"""DeepFool: the smallest step across the nearest linearised decision boundary."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.attacks.base import Attack, attack_mode, bounds


@dataclass(frozen=True, kw_only=True)
class DeepFool(Attack):
    """DeepFool in l-infinity (Moosavi-Dezfooli et al. 2016, Algorithm 2 with section 3.4's p = infinity).

    The search looks for the nearest misclassified image, and clamps images to the box. Its result is projected to the
    ball, so that accuracies under DeepFool are comparable with those under other attacks of radius ``epsilon``. Images
    that the model already misclassifies are returned unchanged.
    """

    steps: int = 50
    overshoot: float = 0.02
    candidates: int = 10
    """Number of wrong classes that are considered. They have the largest clean logits."""

    @torch.no_grad()
    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
        """Adversarial images, see `Attack.perturb`. The attack is deterministic."""
        size = self.batch_size or len(x)
        with attack_mode(model):
            parts = [self._search(model, *part) for part in zip(x.split(size), y.split(size), strict=True)]
        return torch.cat(parts)

    def _search(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        result = x.clone()
        clean = model(x)
        alive = (clean.argmax(1) == y).nonzero()[:, 0]
        wrong = clean.scatter(1, y[:, None], -torch.inf).topk(min(self.candidates, clean.shape[1] - 1)).indices
        moved = torch.zeros_like(x)
        for _ in range(self.steps):
            if len(alive) == 0:
                break
            moved[alive] += self._step(model, result[alive], y[alive], wrong[alive])
            result[alive] = (x[alive] + (1 + self.overshoot) * moved[alive]).clamp_(0, 1)
            alive = alive[model(result[alive]).argmax(1) == y[alive]]
        return result.clamp_(*bounds(x, self.epsilon))

    def _step(self, model: nn.Module, x: Tensor, y: Tensor, wrong: Tensor) -> Tensor:
        leaf = x.detach().requires_grad_()
        with torch.enable_grad():
            logits = model(leaf)
            lead = logits.gather(1, y[:, None]) - logits.gather(1, wrong)
            totals = lead.sum(0).unbind()
        gradients = torch.stack([torch.autograd.grad(t, leaf, retain_graph=True)[0] for t in totals], dim=1)
        slopes = gradients.flatten(2).abs().sum(2)
        distance = lead.detach() / slopes
        nearest = distance.nan_to_num(torch.inf).argmin(1)
        rows = torch.arange(len(x), device=x.device)
        length = distance[rows, nearest].nan_to_num(0, 0, 0)
        return -length[:, None, None, None] * gradients[rows, nearest].sign()
