"""TRADES (Zhang et al. 2019), following Algorithm 1 of the instability paper or, by options, the official code."""

from __future__ import annotations

from torch import Tensor

from core.methods.base import Batch, Found, Method, Objective, Run
from core.methods.losses import kl_divergence


class Trades(Method):
    """``CE(f(x), y) + beta * KL(f(x) || f(x_adv))`` (instability paper, eq. 1; Algorithm 1, lines 11-13).

    Algorithm 1 computes the clean logits once for both terms (``clean_forwards`` 1). The official code forwards the
    clean batch a second time for the target of the KL (2): BatchNorm gets clean, adversarial, clean. With
    ``adversarial_first`` it gets adversarial, clean, clean, as in the official code of AWP. The target is detached only
    with ``detach_target``. With the inner loss ``ce`` this is the variant "Modified" of Appendix F.
    """

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        if self.options.adversarial_first:
            adv_logits = run.forward(found["x"])
            clean_logits = run.forward(batch.x)
        else:
            clean_logits = run.forward(batch.x)
            adv_logits = run.forward(found["x"])
        target = run.forward(batch.x) if self.options.clean_forwards == 2 else clean_logits
        if self.options.detach_target:
            target = target.detach()
        ce = self.cross_entropy(clean_logits, batch.y)
        kl = self.options.beta * kl_divergence(target, adv_logits)
        return Objective(ce + kl, {"ce": ce, "kl": kl}, clean_logits, adv_logits)

    def losses(self, run: Run, batch: Batch, found: Found) -> Tensor:
        """The images' TRADES losses, as in the paper. Its code adds tensors of shapes (n,) and (n, classes)."""
        clean_logits, adv_logits = run.forward(batch.x), run.forward(found["x"])
        target = clean_logits.detach() if self.options.detach_target else clean_logits
        kl = kl_divergence(target, adv_logits, reduction="none")
        return self.cross_entropy(clean_logits, batch.y, reduction="none") + self.options.beta * kl
