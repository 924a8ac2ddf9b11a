"""Options of LAS-AT."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from core.config.attack import AwpOptions, InnerAttackOptions
from core.config.base import Number
from core.config.methods.base import MethodOptions, Passes
from core.config.models import MODELS, find_model
from core.config.over_epochs import plain
from core.config.registered import Registered

RESTARTS = 2
"""Starts of the attack that measures the robustness in the reward."""


class LasAtOptions(MethodOptions):
    """LAS-AT, a learnable attack strategy (Jia et al. 2022). Defaults are those of the official LAS-PGD-AT code.

    The inner attack of the cell is the one that measures the reward; the training attack has one radius, number of
    steps and step size per image, which the policy chooses.
    """

    method: Literal["las-at"] = Field("las-at", description="training method")
    policy_model: Annotated[str, Registered(find_model, lambda: MODELS)] = Field(
        "resnet18", description="architecture of the policy network, such as resnet18"
    )
    policy_lr: Number = Field(1e-4, ge=0, le=1000, description="learning rate of the policy network")
    policy_interval: int = Field(20, ge=1, le=1000000, description="batches from one update of the policy to the next")
    policy_radius_min: Number = Field(3 / 255, gt=0, le=1, description="smallest radius that the policy can choose")
    policy_radius_max: Number = Field(
        14 / 255, gt=0, le=1, description="largest radius that the policy can choose; choices are 1/255 apart"
    )
    policy_steps_min: int = Field(3, ge=1, le=1000, description="fewest steps that the policy can choose")
    policy_steps_max: int = Field(13, ge=1, le=1000, description="most steps that the policy can choose")
    policy_size_min: Number = Field(1 / 255, gt=0, le=1, description="smallest step size that the policy can choose")
    policy_size_max: Number = Field(
        4 / 255, gt=0, le=1, description="largest step size that the policy can choose; choices are 1/255 apart"
    )
    reward_robust: Number = Field(4.0, ge=0, le=1000, description="weight of the robust accuracy in the reward")
    reward_clean: Number = Field(2.0, ge=0, le=1000, description="weight of the clean accuracy in the reward")
    soft_label: Number = Field(
        0.7, ge=0, le=1, description="target probability of the true class; the other classes share the rest"
    )

    fixed: ClassVar = frozenset({"inner", "attack_start", "train_epsilon"})

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """PGD-AT's attack. The policy chooses the training radius of each image."""
        return {"inner": "ce", "attack_start": "uniform", "train_epsilon": None}

    def check_attack(self, attack: InnerAttackOptions) -> None:
        """Refuse an empty range of choices."""
        for name in ("policy_radius", "policy_steps", "policy_size"):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if low > high:
                raise ValueError(f"{name}_min {low:g} is impossible with {name}_max {high:g}; allowed: at most that")

    def attack_passes(self, attack: InnerAttackOptions) -> Passes:
        """The attack computes the largest number of steps for every image; an image with fewer steps stops moving."""
        return Passes(self.policy_steps_max, self.policy_steps_max)

    def objective_passes(self) -> Passes:
        """One forward and one backward of the adversarial batch."""
        return Passes(1, 0, 1)

    def step_passes(self, attack: InnerAttackOptions, weights: AwpOptions) -> Passes:
        """All passes of one batch, with its share of an update of the policy."""
        training_attack = self.attack_passes(attack)
        looked_ahead = Passes(2, 0, 1)
        steps = plain(attack.attack_steps)
        measured = Passes(steps + 1, steps).times(RESTARTS).plus(Passes(1))
        policy = training_attack.plus(looked_ahead).plus(measured).times(1 / self.policy_interval)
        return super().step_passes(attack, weights).plus(policy)
