"""Layers that all architectures share."""

from __future__ import annotations

from typing import Literal

from torch import nn

Norm = Literal["batch", "none"]


def conv(inputs: int, outputs: int, kernel: int, stride: int, norm: Norm) -> nn.Conv2d:
    """A "same"-padded convolution; it has a bias only without BatchNorm, which would cancel it."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=norm == "none")


def normalisation(channels: int, norm: Norm) -> nn.Module:
    """BatchNorm, or the identity."""
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.Identity()


def head(channels: int, classes: int) -> nn.Sequential:
    """Average over all positions (4 x 4 for 32 x 32 images, 8 x 8 for 64 x 64), then a linear layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
