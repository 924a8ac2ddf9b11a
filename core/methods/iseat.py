"""ISEAT, instance-wise smoothness-enhanced adversarial training (Li and Spratling), Algorithm 1."""

from __future__ import annotations

import torch
from torch import Tensor

from core.attacks.losses import at_least_float32
from core.methods.base import Batch, Found, Method, Objective, Run
from core.methods.losses import cross_entropy, kl_divergence


class Iseat(Method):
    """``mean(CE(f(x_adv; th + nu), y) + lambda w ||f(x_adv; th + nu) - f(x; th)||_2^2)`` (eq. 15).

    ``nu`` is the adversarial weight perturbation of the adversarial cross-entropy (eq. 10), with radius ``awp_radius``.
    ``w = 1 - r / m``, where ``m`` is the size of the global batch and ``r`` is the image's rank in it by vulnerability
    ``CE(f(x_adv; th + nu), y) - CE(f(x; th), y)``. The most vulnerable image has rank 0 (eqs. 13 and 14). Vulnerability
    is detached, and both logits of the distance are not. Clean logits at ``th`` do not change the BatchNorm statistics;
    the official code uses a copy of the network for this. `adv_at` and `clean_at` choose the weights at which each
    logits are computed. Both are original in LSI of Table 9, and both are perturbed in the form of TRADES-AWP.
    ``smooth_weights top`` without perturbation is eq. 7.
    """

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        options = self.options
        adv_logits = run.forward(found["x"])
        if options.clean_at == "perturbed":
            clean_logits = run.forward(batch.x)
            with torch.no_grad():
                original_logits = run.unperturbed(batch.x)
        else:
            clean_logits = original_logits = run.unperturbed(batch.x)
        stable_logits = run.unperturbed(found["x"]) if options.adv_at == "original" else adv_logits
        losses = self.cross_entropy(adv_logits, batch.y, reduction="none")
        adv_loss, loss = (
            cross_entropy(logits.detach(), batch.y, reduction="none") for logits in (adv_logits, original_logits)
        )
        vulnerability = adv_loss - loss
        weights = self.weights(run.gather(batch, vulnerability))[batch.rows]
        if options.smooth_distance == "kl":
            distance = kl_divergence(clean_logits, stable_logits, reduction="none")
        else:
            distance = (at_least_float32(stable_logits) - at_least_float32(clean_logits)).square().sum(1)
        ce, smooth = losses.mean(), options.smooth * (weights * distance).mean()
        return Objective(ce + smooth, {"ce": ce, "smooth": smooth}, clean_logits, adv_logits)

    def ascent(self, run: Run, batch: Batch, found: Found) -> Tensor:
        return self.cross_entropy(run.forward(found["x"]), batch.y)

    def weights(self, vulnerability: Tensor) -> Tensor:
        """Weights of the images of a global batch, ``(m,)``, from their vulnerability."""
        images = len(vulnerability)
        if self.options.smooth_weights == "uniform":
            return torch.ones_like(vulnerability)
        rank = torch.empty_like(vulnerability)
        rank[vulnerability.argsort(descending=True, stable=True)] = torch.arange(images, device=rank.device).to(rank)
        if self.options.smooth_weights == "top":
            return (rank < images / 10).to(rank)
        return 1 - rank / images
