"""Adversarial weight perturbation (Wu et al. 2020), which can be combined with the objective of any method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from core.engine.ranks import Ranks


class WeightPerturbation:
    """One ascent step on the weights, rescaled per tensor (official AWP code).

    A weight w with more than one dimension moves by ``radius * ||w|| / ||d|| * d``, where d is the ascent direction of
    an SGD step. Biases and BatchNorm parameters do not move. BatchNorm statistics are restored after the extra
    forwards; the official code uses a proxy model for this. The optimiser then steps from the perturbed weights, which
    means that momentum and weight decay act on them. Finally the perturbation is subtracted.

    Args:
        radius: gamma, 0.005 in the paper's Appendix H.
    """

    def __init__(self, radius: float) -> None:
        self.radius = radius

    def offsets(self, model: nn.Module, loss: Callable[[], Tensor], ranks: Ranks) -> list[Tensor]:
        """The perturbation of each parameter with more than one dimension, in the order of the parameters.

        Args:
            loss: computes this rank's share of the objective. The mean of the shares over all ranks is the batch's
                loss. The loss may be scaled against underflow, because the offsets do not depend on its scale. A weight
                whose gradient overflowed does not move.
        """
        weights = list(perturbed_weights(model).values())
        statistics = [buffer.clone() for buffer in model.buffers()]
        gradients = torch.autograd.grad(loss(), weights)
        with torch.no_grad():
            for buffer, saved in zip(model.buffers(), statistics, strict=True):
                buffer.copy_(saved)
            ranks.sum_all(gradients)
            offsets = []
            for weight, direction in zip(weights, gradients, strict=True):
                step = self.radius * weight.norm() / (direction.norm() + 1e-20)
                offsets.append((direction * step).nan_to_num_(nan=0.0))
        return offsets

    @contextmanager
    def applied(self, model: nn.Module, offsets: list[Tensor]) -> Iterator[None]:
        """Context in which the weights are perturbed. On exit the offsets are subtracted from the new weights."""
        weights = list(perturbed_weights(model).values())
        with torch.no_grad():
            torch._foreach_add_(weights, offsets)
        yield
        with torch.no_grad():
            torch._foreach_sub_(weights, offsets)


def perturbed_weights(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that AWP moves, by name. They have more than one dimension."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.dim() > 1}
