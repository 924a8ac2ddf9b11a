"""Free adversarial training (Shafahi et al. 2019), following the authors' ImageNet code."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from core.config import Cell
from core.methods.base import Batch, Drawn, Found, Method, Objective, Run


class Free(Method):
    """``CE(f(x + delta), y)``, with m replays of a batch. One backward gives the gradients of weights and ``delta``.

    A row of ``delta`` belongs to a position in the batch and not to an image. It is kept from batch to batch (Algorithm
    1). Images are clamped to [0, 1] before the forward, and the update is ``delta <- clamp(delta + a sign(gradient),
    -epsilon, epsilon)`` with the gradient at the clamped images. Each rank updates the rows of its slice. At the end of
    a batch all ranks have all rows.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        shape = cell.data.shape
        self.delta = torch.zeros(cell.training.batch_size, shape.channels, shape.image_size, shape.image_size)

    def build(self, run: Run, generator: torch.Generator) -> None:
        self.delta = self.delta.to(next(run.model.parameters()).device)

    def draw(self, x: Tensor, y: Tensor, rng: torch.Generator) -> Drawn:
        return {}

    def attack(self, run: Run, batch: Batch) -> Found:
        return {"x": (batch.x + self.delta[batch.rows]).clamp_(0, 1).requires_grad_()}

    def objective(self, run: Run, batch: Batch, found: Found) -> Objective:
        adv_logits = run.forward(found["x"])
        ce = self.cross_entropy(adv_logits, batch.y)
        return Objective(ce, {"ce": ce}, None, adv_logits)

    def step(self, run: Run, batch: Batch) -> Objective:
        epsilon, size = self.inner.epsilon, self.inner.step_size
        for _ in range(self.options.replays):
            found = self.attack(run, batch)
            objective = run.descend(batch, found)
            gradient = found["x"].grad
            assert gradient is not None
            self.delta[batch.rows] = (self.delta[batch.rows] + size * gradient.sign()).clamp_(-epsilon, epsilon)
        self.delta[: batch.size] = run.gather(batch, self.delta[batch.rows])
        return objective

    def state_dict(self) -> dict[str, Any]:
        return {"delta": self.delta}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.delta.copy_(state["delta"])
