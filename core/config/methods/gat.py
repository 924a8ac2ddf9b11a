"""Options of guided adversarial training."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from core.config.attack import InnerAttackOptions
from core.config.base import Number
from core.config.methods.base import MethodOptions, Passes
from core.config.over_epochs import NumberOverEpochs, OverEpochs, is_over_epochs


class GatOptions(MethodOptions):
    """Guided adversarial training (Sriramanan et al. 2020): a single step from a corner of half the ball."""

    method: Literal["gat"] = Field("gat", description="training method")
    guidance: NumberOverEpochs = Field(
        10.0, ge=0, le=1000, description="weight of the squared distance of clean and adversarial softmax: lambda"
    )
    guidance_factor: Number = Field(4.0, ge=0, le=1000, description="factor of lambda late in training")
    guidance_begin: Number = Field(
        0.86, ge=0, le=1, description="share of the epochs after which lambda is multiplied; 1: never"
    )

    smooths_labels: ClassVar = True
    fixed: ClassVar = frozenset({"inner", "attack_start", "attack_steps"})

    @model_validator(mode="before")
    @classmethod
    def _schedule_needs_no_factor(cls, given: Any) -> Any:
        """Leave out the late factor if lambda itself changes over the epochs."""
        if isinstance(given, dict) and is_over_epochs(given.get("guidance")):
            return {"guidance_factor": 1.0, **given}
        return given

    @model_validator(mode="after")
    def _changes_in_one_way(self) -> GatOptions:
        if isinstance(self.guidance, OverEpochs) and self.guidance_factor != 1:
            raise ValueError(
                f"guidance_factor {self.guidance_factor:g} is impossible with guidance {self.guidance}, which changes "
                "over the epochs already; allowed: 1"
            )
        return self

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """One step of size epsilon from a random corner of the ball of half the radius."""
        return {
            "inner": "ce",
            "attack_start": "rademacher",
            "attack_steps": 1,
            "attack_step_size": epsilon,
            "rademacher_share": 0.5,
        }

    def attack_passes(self, attack: InnerAttackOptions) -> Passes:
        """The step, and the train-mode forward of the clean batch that guides it."""
        return Passes(2, 1)

    def objective_passes(self) -> Passes:
        """One adversarial and one clean forward, each with its backward."""
        return Passes(2, 0, 2)
