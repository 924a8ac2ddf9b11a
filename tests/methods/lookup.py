"""A run without an engine: objectives on a network that one holds in one's hands."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from core.attacks import Ascent, Pgd
from core.attacks.base import attack_mode
from core.attacks.pgd import USUAL
from core.config import Cell
from core.methods import Batch, Objective, build_method


class Lookup(nn.Module):
    """Its images are its logits."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class PlainRun:
    """What an objective needs of `core.methods.Run`, for one rank without weight perturbation."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.epoch = 1

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        with attack_mode(self.model):
            return self.model(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)

    def unperturbed(self, x: Tensor) -> Tensor:
        return self.model(x)

    def gather(self, batch: Batch, values: Tensor) -> Tensor:
        return values.detach()

    def perturb(self, attack: Pgd, x: Tensor, y: Tensor, start: Tensor, how: Ascent = USUAL) -> Tensor:
        return attack.perturb_from(self.model, x, y, start, how)


def whole_batch(x: Tensor, y: Tensor, **drawn: Tensor) -> Batch:
    """The first global batch of an epoch, on one rank."""
    return Batch(x, y, drawn, 1.0, slice(0, len(y)), len(y), 0)


def objective_of(cell: Cell, model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor, **found: Tensor) -> Objective:
    """The objective of the cell's method on clean and adversarial images."""
    run: Any = PlainRun(model)
    return build_method(cell).objective(run, whole_batch(x, y), {"x": x_adv, **found})


def logits(seed: int, images: int = 3, classes: int = 3) -> Tensor:
    """Random logits in float64."""
    return torch.randn((images, classes), generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2
