"""Batch-level gradient norms and the gradient cosine of one training step (paper, Appendix G, eqs. 4-7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.methods import Objective
from core.probes import flat_gradient, gradient_cosine

if TYPE_CHECKING:
    from core.engine.batches import Batch
    from core.engine.trainer import Trainer


class GradientProbe:
    """Measures one step from outside: `before` on the objective that the step minimises, `finish` after the update.

    The gradient after the step is that of the full loss at the new weights, its inner maximisation run anew on the same
    batch from the same start. BatchNorm statistics are put back, so a probed run trains like an unprobed one.
    """

    def __init__(self, trainer: Trainer, batch: Batch) -> None:
        self.trainer = trainer
        self.batch = batch
        self.weights = list(trainer.model.parameters())
        self.gradients: dict[str, Tensor] = {}

    def before(self, objective: Objective) -> None:
        """Gradients of each part of the objective, at the weights before the step."""
        self.gradients = {name: self._gradient(part) for name, part in objective.parts.items()}

    def finish(self) -> dict[str, float | None]:
        """``w_norm, ce_norm, kl_norm`` (l2, eqs. 4-6) before the step, ``cosine`` (eq. 7) from before to after."""
        trainer, batch = self.trainer, self.batch
        statistics = [buffer.clone() for buffer in trainer.model.buffers()]
        x_adv = trainer.attack(batch)
        with trainer.precision.autocast():
            total = trainer.method.objective(trainer.network, batch.x, x_adv, batch.y).total
        after = self._gradient(total)
        with torch.no_grad():
            for buffer, saved in zip(trainer.model.buffers(), statistics, strict=True):
                buffer.copy_(saved)
        before = torch.stack(list(self.gradients.values())).sum(0)
        norms: dict[str, float | None] = {f"{name}_norm": float(g.norm()) for name, g in self.gradients.items()}
        return {"w_norm": float(before.norm()), **norms, "cosine": float(gradient_cosine(before, after))}

    def _gradient(self, loss: Tensor) -> Tensor:
        """Flat gradient of the global batch's ``loss``, scaled against underflow on its way."""
        ranks, scale = self.trainer.ranks, self.trainer.precision.scaler.get_scale()
        share = loss * (self.batch.weight / ranks.workers * scale)
        return ranks.sum(flat_gradient(share, self.weights)) / scale
