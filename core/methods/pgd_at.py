"""PGD adversarial training (Madry et al. 2018)."""

from __future__ import annotations

from core.methods.base import Batch, Found, Method, Objective, Run


class PgdAt(Method):
    """``CE(f(x_adv), y)``, training on adversarial images only."""

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        adv_logits = run.forward(found["x"])
        ce = self.cross_entropy(adv_logits, batch.y)
        return Objective(ce, {"ce": ce}, None, adv_logits)
