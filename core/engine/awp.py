"""Adversarial weight perturbation (Wu et al. 2020), around any method's objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from core.engine.ranks import Ranks


class WeightPerturbation:
    """One ascent step on the weights, rescaled per tensor (official AWP code).

    A weight w with more than one dimension moves by ``radius * ||w|| / ||d|| * d``, d the SGD step's ascent direction;
    biases and BatchNorm parameters stay. BatchNorm statistics that the extra forwards touch are put back, which is what
    the official code's proxy model is for. The optimiser then steps from the perturbed weights - momentum and weight
    decay act on them - and the perturbation is subtracted again.

    Args:
        radius: gamma, 0.005 in the paper's Appendix H.
    """

    def __init__(self, radius: float) -> None:
        self.radius = radius

    def offsets(self, model: nn.Module, loss: Callable[[], Tensor], ranks: Ranks) -> list[Tensor]:
        """The perturbation of every parameter with more than one dimension, in their order.

        Args:
            loss: this rank's share of the objective: over all ranks the shares' mean is the batch's loss. It may be
                scaled against underflow: the offsets don't depend on its scale, and where a gradient overflowed, the
                weight stays.
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
        """Within: weights are perturbed. At the end the offsets are subtracted from whatever the weights became."""
        weights = list(perturbed_weights(model).values())
        with torch.no_grad():
            torch._foreach_add_(weights, offsets)
        yield
        with torch.no_grad():
            torch._foreach_sub_(weights, offsets)


def perturbed_weights(model: nn.Module) -> dict[str, Tensor]:
    """Parameters that AWP moves, by name: those with more than one dimension."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.dim() > 1}
