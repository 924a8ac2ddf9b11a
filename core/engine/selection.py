"""Which epochs' weights a trial keeps, and when Algorithm 1 of the paper heals.

`is_masked` is the paper's FOSC rule (Algorithm 1, lines 17-22). The gated checkpoint and healing follow it in every
trial, whichever detector the protocol has chosen to stop trials.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from core.config import ProtocolOptions
from core.records import Row

Weights = dict[str, torch.Tensor]


@dataclass
class Best:
    """Weights of the epoch with the highest PGD validation accuracy up to now; the first of equal epochs stays."""

    accuracy: float = -1.0
    epoch: int = 0
    weights: Weights | None = None

    def offer(self, accuracy: float, epoch: int, model: nn.Module) -> None:
        """Take this epoch's weights if they are better."""
        if accuracy > self.accuracy:
            self.accuracy, self.epoch, self.weights = accuracy, epoch, copy_weights(model)


def copy_weights(model: nn.Module) -> Weights:
    """Copies of the model's parameters and buffers on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in model.state_dict().items()}


def is_masked(row: Row, protocol: ProtocolOptions) -> bool:
    """Is the epoch's FOSC above the threshold, or not finite?"""
    return row["val/fosc"] is None or row["val/fosc"] > protocol.fosc_threshold
