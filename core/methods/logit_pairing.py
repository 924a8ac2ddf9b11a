"""Clean and adversarial logit pairing (Kannan et al. 2018), following the authors' code for ImageNet."""

from __future__ import annotations

import torch
from torch import Tensor

from core.attacks.base import gaussian
from core.attacks.losses import at_least_float32
from core.methods.base import Batch, Drawn, Found, Method, Objective, Run


class Alp(Method):
    """``(CE(f(x), y) + CE(f(x_adv), y)) / 2 + lambda mean((f(x) - f(x_adv))^2)``, a mean over images and classes.

    The authors' code forwards clean and adversarial images as one batch. Here they are two forwards, in which BatchNorm
    normalises each batch by its own statistics.
    """

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        clean_logits = run.forward(batch.x)
        adv_logits = run.forward(found["x"])
        ce = (self.cross_entropy(clean_logits, batch.y) + self.cross_entropy(adv_logits, batch.y)) / 2
        difference = at_least_float32(clean_logits) - at_least_float32(adv_logits)
        pairing = self.options.pairing * difference.square().mean()
        return Objective(ce + pairing, {"ce": ce, "pairing": pairing}, clean_logits, adv_logits)


class Clp(Method):
    """``CE(f(x), y) + lambda mean((f(x_i) - f(x_{i + m/2}))^2)`` over the pairs of the global batch of m noisy images.

    There is no attack. The adversarial accuracy in the training row is the accuracy on noisy images. If the number of
    images is odd, the last image has no partner.
    """

    def draw(self, x: Tensor, y: Tensor, rng: torch.Generator) -> Drawn:
        return {"noise": gaussian(x, rng).mul_(self.options.input_noise)}

    def attack(self, run: Run, batch: Batch) -> Found:
        return {"x": (batch.x + batch.drawn["noise"]).clamp_(0, 1)}

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        logits = run.forward(found["x"])
        wide = at_least_float32(logits)
        ce = self.cross_entropy(logits, batch.y)
        pairs = batch.size // 2
        wide_batch = run.gather(batch, wide)
        partner = torch.cat([wide_batch[pairs : 2 * pairs], wide_batch[:pairs], wide_batch[2 * pairs :]])[batch.rows]
        difference = (wide - partner).square().mean(1)
        # Both images of a pair have a term with the other image detached. The pair's value is half of their sum, and
        # its gradient is that of the whole sum.
        terms = difference - difference.detach() / 2
        pairing = self.options.pairing * batch.size / max(pairs, 1) * terms.mean()
        return Objective(ce + pairing, {"ce": ce, "pairing": pairing}, None, logits)
