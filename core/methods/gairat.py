"""Geometry-aware instance-reweighted adversarial training (Zhang et al. 2021), following its official code."""

from __future__ import annotations

import torch
from torch import Tensor

from core.attacks import Ascent
from core.methods.base import Batch, Found, Method, Objective, Run


class Gairat(Method):
    """``mean(w CE(f(x_adv), y))``, whose weights ``w`` decrease with the number of attack steps that an image survives.

    ``kappa`` is the number of correctly classified images among x_0 (the start) to x_{K-1} of the K attack steps. x_K
    does not count. ``w = (1 + tanh(Lambda + 5 (h - kappa) / h)) / 2`` with ``h = floor(K / 2)``, divided by its mean
    over the global batch. Alternatives are sigmoid instead of tanh, and ``(K + 1 - kappa) / (K + 1)``. ``kappa`` needs
    no extra forward, because the attack computes the logits. The official code reweights from epoch 60 of 120 on.
    """

    def attack(self, run: Run, batch: Batch) -> Found:
        survived = torch.zeros(len(batch.y), device=batch.y.device)

        def count(_: int, logits: Tensor) -> None:
            survived.add_(logits.argmax(1) == batch.y)

        x_adv = run.perturb(self.inner, batch.x, batch.y, batch.drawn["start"], Ascent(steer=count))
        return {"x": x_adv, "survived": survived}

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        adv_logits = run.forward(found["x"])
        losses = self.cross_entropy(adv_logits, batch.y, reduction="none")
        if run.epoch >= self.options.reweighting_begin * self.cell.training.epochs:
            weights = self.weights(found["survived"])
            losses = losses * (weights / run.gather(batch, weights).mean())
        ce = losses.mean()
        return Objective(ce, {"ce": ce}, None, adv_logits)

    def weights(self, survived: Tensor) -> Tensor:
        """Weights before normalisation, ``(n,)``, of images by the number of attack steps that they survived."""
        steps = self.inner.steps
        if self.options.reweighting == "discrete":
            return (steps + 1 - survived) / (steps + 1)
        half = steps // 2
        argument = self.options.reweighting_shift + 5 * (half - survived) / half
        return argument.sigmoid() if self.options.reweighting == "sigmoid" else (argument.tanh() + 1) / 2
