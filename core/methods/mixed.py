"""Adversarial training on clean and adversarial images (Goodfellow et al. 2015; Kurakin et al. 2017)."""

from __future__ import annotations

from core.methods.base import Batch, Found, Method, Objective, Run


class Mixed(Method):
    """``w CE(f(x), y) + (1 - w) CE(f(x_adv), y)`` (Goodfellow et al. 2015, section 6, with w = 0.5).

    Clean and adversarial images are two forwards, in which BatchNorm normalises each batch by its own statistics.
    """

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        share = self.options.clean_share
        clean_logits = run.forward(batch.x)
        adv_logits = run.forward(found["x"])
        clean = share * self.cross_entropy(clean_logits, batch.y)
        adv = (1 - share) * self.cross_entropy(adv_logits, batch.y)
        return Objective(clean + adv, {"clean_ce": clean, "adv_ce": adv}, clean_logits, adv_logits)
