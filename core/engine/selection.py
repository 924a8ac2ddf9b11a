"""Selection of the epochs whose weights a trial keeps, and the paper's FOSC rule.

The rule, `is_masked` (Algorithm 1, lines 17-22), decides about the gated checkpoint and about healing. It does not
depend on the detector that the protocol has chosen to stop trials.
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
    """Weights of the epoch with the highest PGD validation accuracy up to now. Among equal epochs it is the first."""

    accuracy: float = -1.0
    epoch: int = 0
    weights: Weights | None = None

    def offer(self, accuracy: float, epoch: int, model: nn.Module) -> None:
        """Keep a copy of the model's weights if ``accuracy`` is higher than before."""
        if accuracy > self.accuracy:
            self.accuracy, self.epoch, self.weights = accuracy, epoch, copy_weights(model)


def copy_weights(model: nn.Module) -> Weights:
    """Copies of the model's parameters and buffers on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in model.state_dict().items()}


def is_masked(row: Row, protocol: ProtocolOptions) -> bool:
    """True if the epoch's FOSC is above the threshold or not finite."""
    return row["val/fosc"] is None or row["val/fosc"] > protocol.fosc_threshold
