"""Adversarial weight perturbation (Wu et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from core.engine.ranks import Ranks
from core.engine.weights.perturbation import WeightPerturbation, perturbed_weights, summed_gradients
from core.methods import Batch, Found, Method, Run


class AdversarialWeightPerturbation(WeightPerturbation):
    """One ascent step on the method's own loss, rescaled per tensor (official AWP code).

    A weight w moves by ``radius * ||w|| / ||d|| * d``, where d is the ascent direction of an SGD step. A weight whose
    gradient overflowed does not move.

    Args:
        radius: gamma, 0.005 in the paper's Appendix H.
    """

    def __init__(self, radius: float) -> None:
        self.radius = radius

    def loss(self, method: Method, run: Run, batch: Batch, found: Found) -> Tensor:
        return method.ascent(run, batch, found)

    def offsets(self, model: nn.Module, loss: Callable[[], Tensor], ranks: Ranks) -> list[Tensor]:
        gradients = summed_gradients(model, loss, ranks)
        offsets = []
        with torch.no_grad():
            for weight, direction in zip(perturbed_weights(model).values(), gradients, strict=True):
                step = self.radius * weight.norm() / (direction.norm() + 1e-20)
                offsets.append((direction * step).nan_to_num_(nan=0.0))
        return offsets
