"""GradAlign (Andriushchenko and Flammarion 2020), which aligns the image gradients within a ball."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from core.attacks.base import uniform
from core.methods.base import Batch, Drawn, Found, Method, Objective, Run
from core.methods.losses import cross_entropy


class GradAlign(Method):
    """``CE(f(x_adv), y) + lambda (1 - mean cos(g1, g2))`` (eqs. 4 and 5).

    ``g1`` is the gradient of the cross-entropy at the attack's start and is detached. ``g2`` is the gradient at ``x +
    U(-eps, eps)``, which is not clamped to the box, and keeps its graph. Images with a zero gradient do not count. Both
    gradients are computed in train mode, as in the official code. That code takes ``g1`` from its attack; here the
    attack runs in eval mode, and ``g1`` needs an additional pass.
    """

    def draw(self, x: Tensor, y: Tensor, rng: torch.Generator) -> Drawn:
        drawn = super().draw(x, y, rng)
        return {**drawn, "point": uniform(x, rng).mul_(self.inner.epsilon).add_(x)}

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        first = self._gradient(run, batch.drawn["start"], batch.y, create_graph=False)
        second = self._gradient(run, batch.drawn["point"], batch.y, create_graph=True)
        adv_logits = run.forward(found["x"])
        ce = self.cross_entropy(adv_logits, batch.y)
        counts = (first.norm(dim=1) > 0) & (second.detach().norm(dim=1) > 0)
        # The engine combines means over slices. Division by `share` gives the mean over all images that count.
        share = run.gather(batch, counts.double()).mean().clamp(min=1 / batch.size)
        # Selecting the images that count would wait for the device. The others get a gradient without influence.
        one, other = (torch.where(counts[:, None], gradient, 1.0) for gradient in (first, second))
        cosines = F.cosine_similarity(one, other, dim=1, eps=0.0)
        missing = torch.where(counts, 1 - cosines, 0.0)
        alignment = self.options.alignment * missing.sum() / (share * len(batch.y))
        return Objective(ce + alignment, {"ce": ce, "alignment": alignment}, None, adv_logits)

    def _gradient(self, run: Run, x: Tensor, y: Tensor, *, create_graph: bool) -> Tensor:
        """Gradient of each image's cross-entropy, ``(n, pixels)``, scaled against underflow."""
        x = x.detach().requires_grad_()
        loss = cross_entropy(run.forward(x), y, reduction="sum") * self.inner.loss_scale
        (gradient,) = torch.autograd.grad(loss, x, create_graph=create_graph)
        return gradient.flatten(1)
