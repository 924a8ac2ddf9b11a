"""TRADES (Zhang et al. 2019) as Algorithm 1 of the instability paper has it; the official code's ways are options."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from core.attacks.losses import at_least_float32
from core.methods.base import Method, Objective


class Trades(Method):
    """``CE(f(x), y) + beta * KL(f(x) || f(x_adv))`` (instability paper, eq. 1; Algorithm 1, lines 11-13).

    Algorithm 1 computes the clean logits once and lets both terms use them (``clean_forwards`` 1). The official code
    forwards the clean batch a second time as the KL's target (2), so that BatchNorm sees clean, adversarial, clean.
    Neither detaches the target; ``detach_target`` does. With the inner loss ``ce`` this is Appendix F's "Modified".
    """

    def objective(self, model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> Objective:
        clean_logits = model(x)
        adv_logits = model(x_adv)
        target = model(x) if self.options.clean_forwards == 2 else clean_logits
        if self.options.detach_target:
            target = target.detach()
        ce = F.cross_entropy(at_least_float32(clean_logits), y)
        kl = self.options.beta * F.kl_div(
            F.log_softmax(at_least_float32(adv_logits), dim=1),
            F.log_softmax(at_least_float32(target), dim=1),
            reduction="batchmean",
            log_target=True,
        )
        return Objective(ce + kl, {"ce": ce, "kl": kl}, clean_logits, adv_logits)
