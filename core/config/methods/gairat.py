"""Options of GAIRAT."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from core.config.attack import InnerAttackOptions
from core.config.base import Number
from core.config.methods.base import MethodOptions, Passes
from core.config.over_epochs import NumberOverEpochs


class GairatOptions(MethodOptions):
    """Geometry-aware instance-reweighted adversarial training (Zhang et al. 2021)."""

    method: Literal["gairat"] = Field("gairat", description="training method")
    reweighting: Literal["tanh", "sigmoid", "discrete"] = Field(
        "tanh", description="weight of an image as a function of the attack steps that it survived"
    )
    reweighting_shift: NumberOverEpochs = Field(
        -1.0, ge=-100, le=100, description="Lambda of GAIRAT, in tanh and sigmoid weights"
    )
    reweighting_begin: Number = Field(
        0.5, ge=0, le=1, description="share of the epochs after which images are reweighted; before, training is PGD-AT"
    )

    smooths_labels: ClassVar = True

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """The attack of PGD-AT."""
        return {"inner": "ce", "attack_start": "uniform"}

    def check_attack(self, attack: InnerAttackOptions) -> None:
        """Reject a single-step attack, because the weights divide by half of its number of steps, rounded down."""
        steps = attack.attack_steps
        if not steps >= 2 and self.reweighting != "discrete":
            raise ValueError(
                f"attack_steps {steps} is impossible with reweighting {self.reweighting}; allowed: 2 or more"
            )

    def objective_passes(self) -> Passes:
        """One forward and one backward of the adversarial batch."""
        return Passes(1, 0, 1)
