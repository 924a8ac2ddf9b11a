"""Networks that tests of attacks and probes share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


class Float64(nn.Module):
    """A network with float64 weights for float32 images, which are exact in float64."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.double())


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
