"""What a training method is: an inner attack and an objective on clean and adversarial images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from core.attacks import Pgd
from core.config import Cell

FP16_ATTACK_SCALE = 1024.0
"""Attack gradients of 1e-7 to 60 fit into fp16 with it."""


class Objective(NamedTuple):
    """The loss of one batch.

    Attributes:
        total: scalar that the step minimises, a mean over the batch.
        parts: its summands by name (``ce``, ``kl``, weights included), on the graph: their gradients can be probed.
        clean_logits: (batch, classes), or None where the method never sees the clean batch.
        adv_logits: (batch, classes).
    """

    total: Tensor
    parts: dict[str, Tensor]
    clean_logits: Tensor | None
    adv_logits: Tensor


class Method(ABC):
    """One way of adversarial training. Adding one is one file and one line in the registry."""

    def __init__(self, cell: Cell) -> None:
        options = cell.attack
        self.options = cell.method
        self.attack = Pgd(
            epsilon=options.epsilon,
            step_size=options.attack_step_size,
            steps=options.attack_steps,
            loss=options.inner,
            start=options.attack_start,
            bn_mode=options.attack_bn,
            loss_scale=FP16_ATTACK_SCALE if cell.training.precision == "fp16" else 1.0,
        )

    @abstractmethod
    def objective(self, model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> Objective:
        """Loss of a batch: images of shape (batch, channels, height, width) in [0, 1], labels (batch,)."""
