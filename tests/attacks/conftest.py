from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture
def network() -> Callable[..., nn.Module]:
    """A small network with BatchNorm and dropout, whose running statistics are not the initial ones."""

    def build(channels: int = 1, classes: int = 5, seed: int = 0) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = nn.Sequential(
                nn.Conv2d(channels, 6, 3, padding=1),
                nn.BatchNorm2d(6),
                nn.ReLU(),
                nn.Dropout(0.5),
                nn.Conv2d(6, 8, 3, stride=2),
                nn.BatchNorm2d(8),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(8 * 9, classes),
            )
            for _ in range(20):
                model(torch.rand(32, channels, 8, 8))
        return model

    return build


@pytest.fixture
def batch() -> Callable[..., tuple[Tensor, Tensor]]:
    """Images that touch both ends of the box, and labels."""

    def build(count: int = 12, channels: int = 1, classes: int = 5, seed: int = 1) -> tuple[Tensor, Tensor]:
        rng = torch.Generator().manual_seed(seed)
        x = (torch.rand((count, channels, 8, 8), generator=rng) * 1.4 - 0.2).clamp(0, 1)
        return x, torch.randint(0, classes, (count,), generator=rng)

    return build


@pytest.fixture
def linear() -> nn.Sequential:
    """Logits that are linear in the image, float64, 4 classes, 1x4x4 pixels."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 4)).double()
