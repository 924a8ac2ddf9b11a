"""SEAT, "Stable and Efficient Adversarial Training through Local Linearization", eqs. 4 and 7 to 9."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.attacks import Ascent, losses
from core.attacks.base import image_gradient
from core.attacks.losses import at_least_float32
from core.methods.base import Batch, Found, Method, Objective, Run
from core.methods.losses import cross_entropy, flooded


class Seat(Method):
    """``|CE(f(x_adv), y) - b| + b + lambda mean(|e|)``, ``e`` the error of the loss's linear approximation.

    ``e = l(x_adv) - l(x) - <x_adv - x, grad l(x)>`` with an image's cross-entropy ``l`` (eq. 4). The inner step ascends
    ``max_{j != y} p_j - p_y + lambda |e|`` with softmax probabilities ``p``, or ``l(x_adv) + lambda |e|`` where
    ``attack_objective`` is ``ce``. In the paper's form each image has its own
    error, and both the step and the weights follow the exact gradient of ``|e|``. The official code's form has
    ``|mean(e)|`` over the global batch, where errors of opposite signs cancel, and treats the scalar product as a
    number without a gradient. ``b`` is the flood level: the cross-entropy is the mean of the global batch.
    """

    def attack(self, run: Run, batch: Batch) -> Found:
        def follow(model: nn.Module, x_adv: Tensor) -> tuple[Tensor, Tensor]:
            return self._direction(run, batch, model, x_adv)

        return {"x": run.perturb(self.inner, batch.x, batch.y, batch.drawn["start"], Ascent(follow=follow))}

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        own = self.options.linearity_form == "paper"
        x = batch.x.detach().requires_grad_()
        clean_logits = run.forward(x)
        clean_losses = cross_entropy(clean_logits, batch.y, reduction="none")
        scale = self.inner.loss_scale
        (gradient,) = torch.autograd.grad(clean_losses.sum() * scale, x, create_graph=own, retain_graph=True)
        adv_logits = run.forward(found["x"])
        adv_losses = cross_entropy(adv_logits, batch.y, reduction="none")
        errors = adv_losses - clean_losses - _products(found["x"] - batch.x, gradient) / scale
        linearity = self.options.linearity * (self._signs(run, batch, errors) * errors).mean()
        fitted = self.cross_entropy(adv_logits, batch.y, reduction="none") if self.smoothing else adv_losses
        ce = flooded(fitted, run.gather(batch, fitted), self.options.flood)
        return Objective(ce + linearity, {"ce": ce, "linearity": linearity}, clean_logits, adv_logits)

    def _direction(self, run: Run, batch: Batch, model: nn.Module, x_adv: Tensor) -> tuple[Tensor, Tensor]:
        """Logits at ``x_adv``, and the gradient at ``x_adv`` of the loss that the inner step ascends."""
        y, scale, weight = batch.y, self.inner.loss_scale, self.options.linearity
        clean_logits, clean_gradient = image_gradient(model, batch.x, losses.cross_entropy(y, scale))
        known = cross_entropy(clean_logits, y, "none") + _products(x_adv - batch.x, clean_gradient) / scale
        signs = torch.zeros_like(known)
        by_margin = self.options.attack_objective == "margin"
        own = (losses.probability_margin if by_margin else losses.cross_entropy)(y, scale)

        def ascent(logits: Tensor) -> Tensor:
            signs.copy_(self._signs(run, batch, cross_entropy(logits, y, "none") - known))
            by_error = losses.cross_entropy(y, scale)(logits) * (weight * signs)[:, None]
            return own(logits) + by_error.to(logits.dtype)

        logits, gradient = image_gradient(model, x_adv, ascent)
        if self.options.linearity_form == "paper":
            gradient = gradient - (weight * signs).view(-1, 1, 1, 1).to(gradient.dtype) * clean_gradient
        return logits, gradient

    def _signs(self, run: Run, batch: Batch, errors: Tensor) -> Tensor:
        """The signs of the images' errors, ``(n,)``, or of the global batch's mean error."""
        if self.options.linearity_form == "paper":
            return errors.detach().sign()
        return run.gather(batch, errors).mean().sign().expand(len(errors))


def _products(moves: Tensor, gradients: Tensor) -> Tensor:
    """Scalar product of each image's move and gradient, ``(n,)``."""
    return (at_least_float32(moves) * at_least_float32(gradients)).flatten(1).sum(1)
