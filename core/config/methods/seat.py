"""Options of SEAT."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from core.config.attack import InnerAttackOptions
from core.config.later import AddedLater
from core.config.methods.base import MethodOptions, Passes
from core.config.over_epochs import NumberOverEpochs


class SeatOptions(MethodOptions):
    """SEAT, stable and efficient adversarial training; with a flood level above 0 it is SEAT-FL.

    The official code attacks in train mode. ``attack_bn train`` is the same, except that the attack does not update the
    running statistics of BatchNorm. The published flood level is unknown.
    """

    method: Literal["seat"] = Field("seat", description="training method")
    linearity: NumberOverEpochs = Field(
        0.5, ge=0, le=1e6, description="weight of the linearity error: 0.5 in the paper, 0.6 in the official code"
    )
    linearity_form: Literal["paper", "official"] = Field(
        "paper",
        description="paper: mean of the images' errors, image gradient differentiated; official: the code's error of "
        "the batch's mean, image gradient held fixed",
    )
    attack_objective: Annotated[Literal["margin", "ce"], AddedLater("margin")] = Field(
        "margin",
        description="loss that the inner step ascends beside the linearity error: the margin of the probabilities, or "
        "cross-entropy (ablation A1)",
    )
    flood: NumberOverEpochs = Field(
        0.0, ge=0, le=1000, description="flood level b of the cross-entropy L: |L - b| + b is minimised"
    )

    smooths_labels: ClassVar = True
    fixed: ClassVar = frozenset({"inner", "attack_steps"})
    differentiates_twice: ClassVar = True

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """One step of the radius from a corner of the ball, as in the official code."""
        return {
            "inner": "ce",
            "attack_start": "rademacher",
            "rademacher_share": 1.0,
            "attack_steps": 1,
            "attack_step_size": epsilon,
        }

    def attack_passes(self, attack: InnerAttackOptions) -> Passes:
        """The image gradient at the clean images, and the one at the start."""
        return Passes(2, 2)

    @property
    def is_second_order(self) -> bool:
        """The paper's form follows the exact gradient of the error, which contains the clean loss's gradient."""
        return self.linearity_form == "paper"

    def objective_passes(self) -> Passes:
        """One clean and one adversarial forward, each with its backward, and the image gradient at the clean images."""
        return Passes(2, 1, 2)
