"""Batch-level gradient norms and the gradient cosine of one training step (paper, Appendix G, eqs. 4-7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from core.engine.precision import Precision
from core.engine.ranks import Ranks
from core.methods import Objective
from core.probes import flat_gradient, gradient_cosine
from core.records import Row


class GradientProbe:
    """Measures the gradients of one training step.

    Call `before` with the step's objective before the first update, and `finish` after the last one.

    The gradient after the step is the gradient of the full loss at the new weights. Its inner maximisation runs again
    on the same batch from the same start. BatchNorm statistics are restored, so that the probe does not change the
    training.

    Args:
        model: the bare network that is trained.
        ranks: the ranks over which gradients are summed.
        precision: provides the loss scaling that protects small gradients against underflow.
        weight: weight of this rank's slice in the global batch, see `Batch`.
        loss: attacks the batch at the current weights and returns the mean loss of this rank's slice, a scalar.
    """

    def __init__(
        self, model: nn.Module, ranks: Ranks, precision: Precision, weight: float, loss: Callable[[], Tensor]
    ) -> None:
        self.model = model
        self.ranks = ranks
        self.precision = precision
        self.weight = weight
        self.loss = loss
        self.weights = list(model.parameters())
        self.gradients: dict[str, Tensor] = {}

    def before(self, objective: Objective) -> None:
        """Measure the gradient of each part of the objective at the weights before the step."""
        self.gradients = {name: self._gradient(part) for name, part in objective.parts.items()}

    def finish(self) -> Row:
        """The step's gradient row.

        Returns:
            The l2 norms before the step, such as ``w_norm``, ``ce_norm`` and ``kl_norm`` (eqs. 4-6), and the ``cosine``
            of the gradients before and after the step (eq. 7).
        """
        with unchanged_statistics(self.model):
            after = self._gradient(self.loss())
        before = torch.stack(list(self.gradients.values())).sum(0)
        norms: Row = {f"{name}_norm": float(g.norm()) for name, g in self.gradients.items()}
        return {"w_norm": float(before.norm()), **norms, "cosine": float(gradient_cosine(before, after))}

    def _gradient(self, loss: Tensor) -> Tensor:
        """The flat gradient of the global batch's loss, computed with loss scaling and then unscaled."""
        scale = self.precision.scaler.get_scale()
        share = loss * (self.weight / self.ranks.workers * scale)
        return self.ranks.sum(flat_gradient(share, self.weights)) / scale


@contextmanager
def unchanged_statistics(model: nn.Module) -> Iterator[None]:
    """Context after which the BatchNorm statistics are those of before."""
    statistics = [buffer.clone() for buffer in model.buffers()]
    yield
    with torch.no_grad():
        for buffer, saved in zip(model.buffers(), statistics, strict=True):
            buffer.copy_(saved)
