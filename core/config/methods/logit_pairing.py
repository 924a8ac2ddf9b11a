"""Options of clean and adversarial logit pairing."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from core.config.attack import InnerAttackOptions
from core.config.methods.base import MethodOptions, Passes
from core.config.over_epochs import NumberOverEpochs

Pairing = Annotated[
    NumberOverEpochs, Field(ge=0, le=1e6, description="weight of the squared difference of paired logits")
]


class ClpOptions(MethodOptions):
    """Clean logit pairing (Kannan et al. 2018), which pairs logits of different noisy images and has no attack."""

    method: Literal["clp"] = Field("clp", description="training method")
    pairing: Pairing = 0.5
    input_noise: NumberOverEpochs = Field(
        0.5, ge=0, le=10, description="standard deviation of the noise on training images"
    )

    smooths_labels: ClassVar = True
    fixed: ClassVar = frozenset(
        {"inner", "attack_start", "attack_steps", "attack_bn", "attack_step_size", "train_epsilon"}
    )

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """The only values of the attack's options, which have no effect because there is no attack."""
        return {
            "inner": "ce",
            "attack_start": "none",
            "attack_steps": 1,
            "attack_bn": "eval",
            "attack_step_size": epsilon,
            "train_epsilon": None,
        }

    def attack_passes(self, attack: InnerAttackOptions) -> Passes:
        """No passes, because there is no attack."""
        return Passes()

    def objective_passes(self) -> Passes:
        """One forward and one backward of the noisy batch."""
        return Passes(1, 0, 1)


class AlpOptions(MethodOptions):
    """Adversarial logit pairing (Kannan et al. 2018), which pairs logits of clean and adversarial images."""

    method: Literal["alp"] = Field("alp", description="training method")
    pairing: Pairing = 0.5

    smooths_labels: ClassVar = True

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """The attack of PGD-AT."""
        return {"inner": "ce", "attack_start": "uniform"}

    def objective_passes(self) -> Passes:
        """One clean and one adversarial forward, each with its backward."""
        return Passes(2, 0, 2)
