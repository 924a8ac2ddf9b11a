"""Robust weight perturbation (Yu et al. 2022), following its official code."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from core.engine.ranks import Ranks
from core.engine.weights.perturbation import WeightPerturbation, perturbed_weights, summed_gradients
from core.methods import Batch, Found, Method, Run


class RobustWeightPerturbation(WeightPerturbation):
    """Several ascent steps on the loss of the images that are classified well, rescaled by the norm of all weights.

    In each step only images count whose loss at the perturbed weights is below ``threshold``; the mean is over all
    images. The gradients ``g`` of the steps are added up to d, and the perturbation is ``radius * ||w|| / ||d|| * d``
    after every step, with the norms over all perturbed weights together. AWP rescales each tensor by its own norms. The
    perturbation is 0 if no image counts. Elements of a gradient that overflowed count as 0.

    Args:
        radius: gamma, 0.01 in the official code for PGD-AT, 0.005 for TRADES.
        steps: number of ascent steps, 10 in the official code.
        threshold: the paper's c_min, 1.7 in the official code.
    """

    def __init__(self, radius: float, steps: int, threshold: float) -> None:
        self.radius, self.steps, self.threshold = radius, steps, threshold

    def loss(self, method: Method, run: Run, batch: Batch, found: Found) -> Tensor:
        losses = method.losses(run, batch, found)
        return (losses * (losses.detach() < self.threshold)).mean()

    def offsets(self, model: nn.Module, loss: Callable[[], Tensor], ranks: Ranks) -> list[Tensor]:
        weights = list(perturbed_weights(model).values())
        originals = [weight.detach().clone() for weight in weights]
        length = _norm(originals)
        sums = offsets = [torch.zeros_like(weight) for weight in originals]
        for _ in range(self.steps):
            gradients = [g.nan_to_num(0.0, 0.0, 0.0) for g in summed_gradients(model, loss, ranks)]
            sums = list(torch._foreach_add(sums, gradients))
            factor = self.radius * length / (_norm(sums) + 1e-20)
            offsets = list(torch._foreach_mul(sums, factor))
            with torch.no_grad():
                torch._foreach_copy_(weights, torch._foreach_add(originals, offsets))
        with torch.no_grad():
            torch._foreach_copy_(weights, originals)
        return offsets


def _norm(tensors: list[Tensor]) -> Tensor:
    """The l2 norm of all tensors together."""
    return torch.stack(torch._foreach_norm(tensors)).norm()
