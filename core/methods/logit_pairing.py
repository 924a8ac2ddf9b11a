"""Clean and adversarial logit pairing (Kannan et al. 2018), as the authors' code for ImageNet has them."""

from __future__ import annotations

import torch
from torch import Tensor

from core.attacks.base import gaussian
from core.attacks.losses import at_least_float32
from core.methods.base import Batch, Drawn, Found, Method, Objective, Run
from core.methods.losses import cross_entropy


class Alp(Method):
    """``(CE(f(x), y) + CE(f(x_adv), y)) / 2 + lambda mean((f(x) - f(x_adv))^2)``, a mean over images and classes.

    The authors' code forwards clean and adversarial images as one batch; here they are two forwards, and BatchNorm
    normalises each kind by its own statistics.
    """

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        clean_logits = run.forward(batch.x)
        adv_logits = run.forward(found["x"])
        ce = (cross_entropy(clean_logits, batch.y) + cross_entropy(adv_logits, batch.y)) / 2
        difference = at_least_float32(clean_logits) - at_least_float32(adv_logits)
        pairing = self.options.pairing * difference.square().mean()
        return Objective(ce + pairing, {"ce": ce, "pairing": pairing}, clean_logits, adv_logits)


class Clp(Method):
    """``CE(f(x), y) + lambda mean((f(x_i) - f(x_{i + m/2}))^2)`` over the pairs of the global batch of m noisy images.

    Nothing is attacked: accuracy on adversarial images, as the training row has it, is that on noisy ones. Of an odd
    number of images the last has no partner.
    """

    def draw(self, x: Tensor, y: Tensor, rng: torch.Generator) -> Drawn:
        return {"noise": gaussian(x, rng).mul_(self.options.input_noise)}

    def attack(self, run: Run, batch: Batch) -> Found:
        return {"x": (batch.x + batch.drawn["noise"]).clamp_(0, 1)}

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        logits = run.forward(found["x"])
        wide = at_least_float32(logits)
        ce = cross_entropy(logits, batch.y)
        pairs = batch.size // 2
        everyone = run.everyone(batch, wide)
        partner = torch.cat([everyone[pairs : 2 * pairs], everyone[:pairs], everyone[2 * pairs :]])[batch.rows]
        difference = (wide - partner).square().mean(1)
        # both images of a pair have a term, in which the other is held fixed: half their sum is the pair's value, and
        # the whole sum has its gradient
        terms = difference - difference.detach() / 2
        pairing = self.options.pairing * batch.size / max(pairs, 1) * terms.mean()
        return Objective(ce + pairing, {"ce": ce, "pairing": pairing}, None, logits)
