"""Friendly adversarial training (Zhang et al. 2020), following its official code."""

from __future__ import annotations

import torch
from torch import Tensor

from core.attacks import Ascent
from core.attacks.base import gaussian
from core.methods.base import Batch, Drawn, Found, Method, Run
from core.methods.pgd_at import PgdAt
from core.methods.trades import Trades


class EarlyStop(Method):
    """The attack of Algorithm 1: PGD that leaves an image ``tau`` steps after it was first misclassified.

    A correctly classified image always moves. A misclassified one moves ``tau`` times in total and then stays, though a
    later step may have made it correct in between. Each step adds ``omega N(0, 1)`` to the images that move, before
    the projection. The start is clamped to the box. ``tau`` grows during training.
    """

    def draw(self, x: Tensor, y: Tensor, rng: torch.Generator) -> Drawn:
        drawn = {"start": self.inner.start_points(x, rng).clamp(0, 1)}
        if self.options.omega:
            drawn["noise"] = gaussian(x[:, None].expand(-1, self.inner.steps, *x.shape[1:]), rng)
        return drawn

    def attack(self, run: Run, batch: Batch) -> Found:
        tau = self.options.tau_in(run.epoch, self.cell.training.epochs)
        wrong = torch.zeros(len(batch.y), device=batch.y.device)

        def stop(_: int, logits: Tensor) -> Tensor:
            wrong.add_(logits.argmax(1) != batch.y)
            return self.inner.step_size * (wrong <= tau).to(batch.x)

        noise = self.options.omega * batch.drawn["noise"] if self.options.omega else None
        return {"x": run.perturb(self.inner, batch.x, batch.y, batch.drawn["start"], Ascent(steer=stop, noise=noise))}


class Fat(EarlyStop, PgdAt):
    """``CE(f(x_adv), y)`` on friendly adversarial images."""


class FatTrades(EarlyStop, Trades):
    """TRADES' loss on friendly adversarial images, which ascend its KL term."""
