"""Pre-activation networks, compared with plain functions that follow the papers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import ModelOptions, Shape
from core.models import build_model

pytestmark = pytest.mark.numeric

Weights = list[Tensor]


def activate(x: Tensor, weights: Weights) -> Tensor:
    """Train-mode BatchNorm with the next two weights, followed by ReLU."""
    scale, shift = weights.pop(0), weights.pop(0)
    mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), correction=0, keepdim=True)
    return ((x - mean) / (variance + 1e-5).sqrt() * scale[:, None, None] + shift[:, None, None]).clamp(min=0)


def block(x: Tensor, outputs: int, stride: int, weights: Weights) -> Tensor:
    first = activate(x, weights)
    inner = F.conv2d(first, weights.pop(0), stride=stride, padding=1)
    inner = F.conv2d(activate(inner, weights), weights.pop(0), padding=1)
    return inner + (x if x.shape[1] == outputs else F.conv2d(first, weights.pop(0), stride=stride))


def forward(x: Tensor, widths: list[int], strides: list[int], blocks: int, final: bool, weights: Weights) -> Tensor:
    x = F.conv2d(x, weights.pop(0), padding=1)
    for width, first_stride in zip(widths, strides, strict=True):
        for index in range(blocks):
            x = block(x, width, first_stride if index == 0 else 1, weights)
    if final:
        x = activate(x, weights)
    return x.mean(dim=(2, 3)) @ weights.pop(0).T + weights.pop(0)


@pytest.mark.parametrize(
    ("name", "widths", "strides", "blocks", "final"),
    [
        ("preact-resnet18", [64, 128, 256, 512], [1, 2, 2, 2], 2, False),
        ("wrn-16-2", [32, 64, 128], [1, 2, 2], 2, True),
        ("wrn-10-1", [16, 32, 64], [1, 2, 2], 1, True),
    ],
)
def test_network_computes_the_written_out_definition(
    name: str, widths: list[int], strides: list[int], blocks: int, final: bool
) -> None:
    model = build_model(ModelOptions(model=name), Shape(7, 3, 12), 1).double()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
    weights = list(model.parameters())
    x = torch.rand(3, 3, 12, 12, dtype=torch.float64)
    torch.testing.assert_close(model(x), forward(x, widths, strides, blocks, final, weights))
    assert not weights
