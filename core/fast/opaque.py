"""A network of unknown code, which is called as it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Opaque(nn.Module):
    """Wraps a network that must not be folded, such as TorchScript or code of another library.

    Args:
        model: any module from images ``[n, C, H, W]`` to logits.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        # a frozen TorchScript module has no parameters, which name a model's device
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        return self.model(x)
