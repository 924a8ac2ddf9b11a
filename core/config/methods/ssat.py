"""Options of single-step adversarial training with checkpoints."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from core.config.attack import InnerAttackOptions
from core.config.methods.base import Passes
from core.config.methods.pgd_at import AdversarialOptions, RsFgsmOptions


class SsatOptions(AdversarialOptions):
    """Stable single-step adversarial training (Kim et al. 2021): RS-FGSM whose step ends where it first fools.

    The official code computes the step in train mode. ``attack_bn train`` is the same, except that the attack does not
    update the running statistics of BatchNorm.
    """

    method: Literal["ssat"] = Field("ssat", description="training method")
    checkpoints: int = Field(
        3, ge=1, le=1000, description="parts of the adversarial step whose ends are tested; 1: the full step"
    )

    fixed = RsFgsmOptions.fixed

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """RS-FGSM's step, in train mode."""
        return {**RsFgsmOptions.part_defaults(epsilon), "attack_bn": "train"}

    def attack_passes(self, attack: InnerAttackOptions) -> Passes:
        """The step, and a forward of each checkpoint but the last."""
        return Passes(self.checkpoints, 1)
