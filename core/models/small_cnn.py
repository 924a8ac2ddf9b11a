"""The small CNN of the project's CPU-scale experiments."""

from __future__ import annotations

from torch import nn

from core.config import Shape
from core.models.layers import Norm, conv, normalisation

WIDTHS_AND_STRIDES = ((8, 1), (16, 2), (32, 2))


class SmallCnn(nn.Sequential):
    """Three 3x3 convolutions (8, 16, 32 channels; strides 1, 2, 2) with norm and ReLU, then a linear layer."""

    def __init__(self, shape: Shape, norm: Norm) -> None:
        layers: list[nn.Module] = []
        channels, side = shape.channels, shape.image_size
        for width, stride in WIDTHS_AND_STRIDES:
            layers += [conv(channels, width, 3, stride, norm), normalisation(width, norm), nn.ReLU()]
            channels, side = width, -(-side // stride)
        super().__init__(*layers, nn.Flatten(), nn.Linear(channels * side**2, shape.classes))
