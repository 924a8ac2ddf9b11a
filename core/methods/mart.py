"""MART, misclassification-aware adversarial training (Wang et al. 2020), following its official code."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from core.attacks.losses import at_least_float32
from core.methods.base import Batch, Found, Method, Objective, Run

LOG_FLOOR = 1e-12
"""Constant of the official code that is added to a probability before its logarithm.

Gradients differ from the exact ones for probabilities below 1e-6."""


class Mart(Method):
    """``BCE(p_adv, y) + beta * mean(KL(p || p_adv) * (1 - p[y]))``, where ``p`` is the softmax of the clean logits.

    ``BCE = CE(p_adv, y) - log(1 - max_{j != y} p_adv[j])`` (eq. 8). No term is detached, including the weight ``1 -
    p[y]``. Both constants slightly above 1 are those of the official code.
    """

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        clean_logits = run.forward(batch.x)
        adv_logits = run.forward(found["x"])
        clean, adv = (F.softmax(at_least_float32(logits), dim=1) for logits in (clean_logits, adv_logits))
        ce = self.cross_entropy(adv_logits, batch.y)
        bce = ce - torch.log(1.0001 - _best_wrong(adv, batch.y) + LOG_FLOOR).mean()
        kl = F.kl_div(torch.log(adv + LOG_FLOOR), clean, reduction="none").sum(1)
        uncertain = 1.0000001 - clean.gather(1, batch.y[:, None])[:, 0]
        weighted = self.options.beta * (kl * uncertain).mean()
        return Objective(bce + weighted, {"bce": bce, "kl": weighted}, clean_logits, adv_logits)


def _best_wrong(probabilities: Tensor, y: Tensor) -> Tensor:
    """The largest probability of a wrong class, ``(n,)``."""
    return probabilities.scatter(1, y[:, None], -1).amax(1)
