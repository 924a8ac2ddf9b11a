"""Networks that tests check: what `--model` of a user names."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.config import ModelOptions
from core.config.datasets import Shape
from core.models import build_model


def build() -> nn.Module:
    """A network for digits, as `load_state_dict` needs it."""
    return build_model(ModelOptions(), Shape(10, 1, 8), seed=1)


def not_a_module() -> int:
    return 3


class Linear(nn.Module):
    """Logits ``(m, 0, 0, ...)`` with the margin m = 2 (mean - 0.5), from one-channel images."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        margin = 2 * (x.flatten(1).mean(1) - 0.5)
        rest = torch.zeros(len(x), self.classes - 1)
        return torch.cat([margin[:, None], rest], 1)


class Staircase(Linear):
    """Nearly the same decisions, but the margin is rounded: its gradient is 0, which blinds gradient attacks."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.round(50 * super().forward(x)) / 50


class Noisy(Linear):
    """Random logits."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.rand(len(x), self.classes)
