"""Options of free adversarial training."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from core.config.attack import InnerAttackOptions
from core.config.methods.base import MethodOptions, Passes


class FreeOptions(MethodOptions):
    """Free adversarial training (Shafahi et al. 2019). An epoch is ``replays`` times as many updates as of others."""

    method: Literal["free"] = Field("free", description="training method")
    replays: int = Field(8, ge=1, le=1000, description="replays of each batch: m, 8 on CIFAR, 4 on ImageNet")

    fixed: ClassVar = frozenset({"inner", "attack_start", "attack_steps", "attack_bn"})

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """A step of the radius per replay, by the gradient of the training loss itself."""
        return {
            "inner": "ce",
            "attack_start": "none",
            "attack_steps": 1,
            "attack_bn": "eval",
            "attack_step_size": epsilon,
        }

    @property
    def updates_per_batch(self) -> int:
        """The replays."""
        return self.replays

    def attack_passes(self, attack: InnerAttackOptions) -> Passes:
        """None: the update's backward gives the gradient by the images, too."""
        return Passes()

    def objective_passes(self) -> Passes:
        """One forward and one backward of the perturbed batch."""
        return Passes(1, 0, 1)
