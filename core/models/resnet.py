"""ResNet-18, ResNet-34, PreActResNet-18 and WRN-N-K in their CIFAR form: 3x3 stem, no max-pooling."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from core.config import Shape
from core.models.blocks import BasicBlock, PreActBlock, stages
from core.models.layers import Norm, conv, head, normalisation

RESNET_WIDTHS, RESNET_STRIDES = (64, 128, 256, 512), (1, 2, 2, 2)
WIDE_STEM, WIDE_STRIDES = 16, (1, 2, 2)


def resnet18(shape: Shape, norm: Norm) -> nn.Module:
    """ResNet-18 (He et al. 2015)."""
    return _resnet((2, 2, 2, 2), shape, norm)


def resnet34(shape: Shape, norm: Norm) -> nn.Module:
    """ResNet-34 (He et al. 2015)."""
    return _resnet((3, 4, 6, 3), shape, norm)


def _resnet(blocks: Sequence[int], shape: Shape, norm: Norm) -> nn.Module:
    return nn.Sequential(
        conv(shape.channels, 64, 3, 1, norm),
        normalisation(64, norm),
        nn.ReLU(),
        stages(BasicBlock, 64, RESNET_WIDTHS, RESNET_STRIDES, blocks, norm),
        head(512, shape.classes),
    )


def preact_resnet18(shape: Shape, norm: Norm) -> nn.Module:
    """PreActResNet-18 (He et al. 2016), without a last norm and ReLU as in kuangliu/pytorch-cifar."""
    return nn.Sequential(
        conv(shape.channels, 64, 3, 1, norm),
        stages(PreActBlock, 64, RESNET_WIDTHS, RESNET_STRIDES, (2, 2, 2, 2), norm),
        head(512, shape.classes),
    )


def wide_resnet(depth: int, factor: int, shape: Shape, norm: Norm) -> nn.Module:
    """WRN-depth-factor (Zagoruyko and Komodakis 2016) without dropout; depth is 6n + 4.

    Convolutions start from He's normal initialisation by fan-out and the linear layer's bias from 0, as in the authors'
    code and in the official TRADES code.
    """
    widths = [WIDE_STEM * factor * scale for scale in (1, 2, 4)]
    model = nn.Sequential(
        conv(shape.channels, WIDE_STEM, 3, 1, norm),
        stages(PreActBlock, WIDE_STEM, widths, WIDE_STRIDES, [(depth - 4) // 6] * 3, norm),
        normalisation(widths[-1], norm),
        nn.ReLU(),
        head(widths[-1], shape.classes),
    )
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    return model
