"""Options of free adversarial training."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from core.config.attack import InnerAttackOptions
from core.config.methods.base import MethodOptions, Passes


class FreeOptions(MethodOptions):
    """Free adversarial training (Shafahi et al. 2019). An epoch has ``replays`` updates per batch."""

    method: Literal["free"] = Field("free", description="training method")
    replays: int = Field(8, ge=1, le=1000, description="number of replays of each batch (m): 8 on CIFAR, 4 on ImageNet")

    smooths_labels: ClassVar = True
    fixed: ClassVar = frozenset({"inner", "attack_start", "attack_steps", "attack_bn"})

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """One step of size epsilon per replay, along the gradient of the training loss."""
        return {
            "inner": "ce",
            "attack_start": "none",
            "attack_steps": 1,
            "attack_bn": "eval",
            "attack_step_size": epsilon,
        }

    @property
    def updates_per_batch(self) -> int:
        """The number of replays."""
        return self.replays

    def attack_passes(self, attack: InnerAttackOptions) -> Passes:
        """No passes, because the backward of the update also gives the gradient of the images."""
        return Passes()

    def objective_passes(self) -> Passes:
        """One forward and one backward of the perturbed batch."""
        return Passes(1, 0, 1)
