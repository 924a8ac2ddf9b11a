"""The contract of weight perturbations, which can be combined with the objective of any method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from core.engine.ranks import Ranks
from core.methods import Batch, Found, Method, Run


class WeightPerturbation(ABC):
    """An ascent on the weights that have more than one dimension. Biases and BatchNorm parameters do not move.

    BatchNorm statistics are restored after the extra forwards; the official codes of AWP and RWP use a proxy model for
    this. The optimiser then steps from the perturbed weights, which means that momentum and weight decay act on them.
    Finally the perturbation is subtracted.
    """

    @abstractmethod
    def loss(self, method: Method, run: Run, batch: Batch, found: Found) -> Tensor:
        """The loss that is ascended, a scalar mean over the slice."""

    @abstractmethod
    def offsets(self, model: nn.Module, loss: Callable[[], Tensor], ranks: Ranks) -> list[Tensor]:
        """The perturbation of each of `perturbed_weights`, in their order.

        Args:
            model: the bare network. Its weights and BatchNorm statistics are the same before and after.
            loss: computes this rank's share of the loss at the current weights. The mean of the shares over all ranks
                is the batch's loss. The loss may be scaled against underflow, because the offsets do not depend on its
                scale.
            ranks: the ranks over which gradients are summed.
        """

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
    """The parameters that a perturbation moves, by name. They have more than one dimension."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.dim() > 1}


def summed_gradients(model: nn.Module, loss: Callable[[], Tensor], ranks: Ranks) -> tuple[Tensor, ...]:
    """Gradients of the ranks' losses by `perturbed_weights`, summed over the ranks. BatchNorm statistics are kept."""
    weights = list(perturbed_weights(model).values())
    statistics = [buffer.clone() for buffer in model.buffers()]
    gradients = torch.autograd.grad(loss(), weights)
    with torch.no_grad():
        for buffer, saved in zip(model.buffers(), statistics, strict=True):
            buffer.copy_(saved)
    ranks.sum_all(gradients)
    return gradients
