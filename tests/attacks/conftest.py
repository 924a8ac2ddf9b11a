from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


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
