"""Guided adversarial training (Sriramanan et al. 2020), following its official code."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from core.attacks import Ascent
from core.attacks.losses import at_least_float32, guided_cross_entropy
from core.methods.base import Batch, Found, Method, Objective, Run


class Gat(Method):
    """``CE(f(x), y) + lambda ||p(x) - p(x_adv)||_2^2``, ``p`` the softmax, a mean over the batch (eq. 4).

    The attack ascends ``CE(f(x'), y) + lambda ||p(x) - p(x')||_2^2`` in the second, fourth, ... batch of an epoch and
    the cross-entropy alone in the others. Its ``p(x)`` comes from a train-mode forward, which updates BatchNorm's
    statistics before the attack uses them. Late in training lambda is larger in the attack and in the loss. In the
    official code it is 4 times as large after epoch 86 of 100.
    """

    def attack(self, run: Run, batch: Batch) -> Found:
        with torch.no_grad():
            clean = F.softmax(at_least_float32(run.forward(batch.x)), dim=1)
        weight = self.guidance(run) if batch.number % 2 else 0.0
        ascent = guided_cross_entropy(batch.y, clean, weight, self.inner.loss_scale)
        return {"x": run.perturb(self.inner, batch.x, batch.y, batch.drawn["start"], Ascent(ascent))}

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        adv_logits = run.forward(found["x"])
        clean_logits = run.forward(batch.x)
        ce = self.cross_entropy(clean_logits, batch.y)
        clean, adv = (F.softmax(at_least_float32(logits), dim=1) for logits in (clean_logits, adv_logits))
        guidance = self.guidance(run) * (clean - adv).square().sum(1).mean()
        return Objective(ce + guidance, {"ce": ce, "guidance": guidance}, clean_logits, adv_logits)

    def guidance(self, run: Run) -> float:
        """Lambda in the current epoch."""
        options = self.options
        late = run.epoch > options.guidance_begin * self.cell.training.epochs
        return float(options.guidance * (options.guidance_factor if late else 1.0))
