"""Residual blocks, and their arrangement in stages."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from core.models.layers import Norm, conv, normalisation


class BasicBlock(nn.Module):
    """conv-norm-ReLU-conv-norm plus shortcut, then ReLU (He et al. 2015)."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1, self.norm1 = conv(inputs, outputs, 3, stride, norm), normalisation(outputs, norm)
        self.conv2, self.norm2 = conv(outputs, outputs, 3, 1, norm), normalisation(outputs, norm)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(conv(inputs, outputs, 1, stride, norm), normalisation(outputs, norm))

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, H / stride, W / stride], rounded up."""
        inner = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(inner + self.shortcut(x))


class PreActBlock(nn.Module):
    """norm-ReLU-conv twice plus shortcut (He et al. 2016).

    A shortcut that changes the shape starts after the first ReLU.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.norm1, self.conv1 = normalisation(inputs, norm), conv(inputs, outputs, 3, stride, norm)
        self.norm2, self.conv2 = normalisation(outputs, norm), conv(outputs, outputs, 3, 1, norm)
        changes = stride != 1 or inputs != outputs
        self.shortcut = conv(inputs, outputs, 1, stride, norm) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, H / stride, W / stride], rounded up."""
        activated = F.relu(self.norm1(x))
        kept = x if self.shortcut is None else self.shortcut(activated)
        return kept + self.conv2(F.relu(self.norm2(self.conv1(activated))))


def stages(
    block: type[BasicBlock] | type[PreActBlock],
    stem: int,
    widths: Sequence[int],
    strides: Sequence[int],
    blocks_per_stage: Sequence[int],
    norm: Norm,
) -> nn.Sequential:
    """Blocks in stages of one width each; a stage's stride is that of its first block."""
    blocks: list[nn.Module] = []
    inputs = stem
    for width, first_stride, count in zip(widths, strides, blocks_per_stage, strict=True):
        for stride in (first_stride, *[1] * (count - 1)):
            blocks.append(block(inputs, width, stride, norm))
            inputs = width
    return nn.Sequential(*blocks)
