"""Geometry-aware instance-reweighted adversarial training (Zhang et al. 2021), as its official code has it."""

from __future__ import annotations

import torch
from torch import Tensor

from core.methods.base import Batch, Found, Method, Objective, Run
from core.methods.losses import cross_entropy


class Gairat(Method):
    """``mean(w CE(f(x_adv), y))``, the weights ``w`` falling with the number of attack steps an image survives.

    ``kappa`` counts the attack's K images x_0 (the start) to x_{K-1} that are classified correctly; x_K does not count.
    ``w = (1 + tanh(Lambda + 5 (h - kappa) / h)) / 2`` with ``h = floor(K / 2)``, divided by its mean over the global
    batch; or sigmoid instead of tanh, or ``(K + 1 - kappa) / (K + 1)``. `kappa` costs nothing: the attack has the
    logits. The official code reweights from epoch 60 of 120 on.
    """

    def attack(self, run: Run, batch: Batch) -> Found:
        survived = torch.zeros(len(batch.y), device=batch.y.device)

        def count(_: int, logits: Tensor) -> None:
            survived.add_(logits.argmax(1) == batch.y)

        x_adv = run.perturb(self.inner, batch.x, batch.y, batch.drawn["start"], steer=count)
        return {"x": x_adv, "survived": survived}

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        adv_logits = run.forward(found["x"])
        losses = cross_entropy(adv_logits, batch.y, reduction="none")
        if run.epoch >= self.options.reweighting_begin * self.cell.training.epochs:
            weights = self.weights(found["survived"])
            losses = losses * (weights / run.everyone(batch, weights).mean())
        ce = losses.mean()
        return Objective(ce, {"ce": ce}, None, adv_logits)

    def weights(self, survived: Tensor) -> Tensor:
        """Weights of images that survived so many of the attack's steps, before they are normalised, ``(n,)``."""
        steps = self.inner.steps
        if self.options.reweighting == "discrete":
            return (steps + 1 - survived) / (steps + 1)
        half = steps // 2
        argument = self.options.reweighting_shift + 5 * (half - survived) / half
        return argument.sigmoid() if self.options.reweighting == "sigmoid" else (argument.tanh() + 1) / 2
