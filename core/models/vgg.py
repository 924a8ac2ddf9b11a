"""VGG-11 in its CIFAR form."""

from __future__ import annotations

from torch import nn

from core.config import Shape
from core.models.layers import Norm, conv, head, normalisation

WIDTHS = ((64,), (128,), (256, 256), (512, 512), (512, 512))
"""Channels of the convolutions before each max-pooling (Simonyan and Zisserman 2015, column A)."""


def vgg11(shape: Shape, norm: Norm) -> nn.Module:
    """VGG-11 with BatchNorm and one linear layer, as in kuangliu/pytorch-cifar.

    Five max-poolings leave one position of 32 x 32 images. Sides that are odd are rounded up, so that smaller images
    have one, too.
    """
    layers: list[nn.Module] = []
    channels = shape.channels
    for widths in WIDTHS:
        for width in widths:
            layers += [conv(channels, width, 3, 1, norm), normalisation(width, norm), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    return nn.Sequential(*layers, head(channels, shape.classes))
