"""Options of the inner attack, of weight perturbation and of healing, which can be combined with any method."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from core.config.base import Number, Options, Unset, as_number, check_unused
from core.config.later import AddedLater
from core.config.over_epochs import NumberOverEpochs, OverEpochs, WholeOverEpochs, is_over_epochs, mapped

SHARE_OF_EPSILON = re.compile(r"\s*epsilon\s*(?:/\s*(\d+(?:\.\d+)?)\s*)?")
"""A step size that is relative to the radius of the training attack: ``epsilon`` or ``epsilon/4``."""


class InnerAttackOptions(Options):
    """The l-infinity attack on each training batch. The defaults of a method may differ from these."""

    inner: Literal["kl", "ce"] = Field(
        "kl", description="inner loss: kl as in TRADES (TPGD), or cross-entropy (Modified in Appendix F)"
    )
    epsilon: Number = Field(
        8 / 255, gt=0, le=1, description="l-infinity radius of the threat model, for images in [0, 1]"
    )
    train_epsilon: Annotated[NumberOverEpochs | None, Unset("epsilon"), AddedLater(None)] = Field(
        None,
        gt=0,
        le=1,
        description="l-infinity radius of the inner attack, if it is not that of the threat model; validation, FOSC "
        "and verdict always use epsilon",
    )
    attack_steps: WholeOverEpochs = Field(10, gt=0, le=1000, description="number of steps of the inner attack")
    attack_step_size: NumberOverEpochs = Field(
        2 / 255, gt=0, le=2, description="step size of the inner attack: a number, epsilon, or a part of it: epsilon/4"
    )
    attack_start: Literal["gaussian", "uniform", "rademacher", "none"] = Field(
        "gaussian",
        description="first image of the inner attack: x + 0.001 randn (TRADES), uniform in the ball, a random corner "
        "of a cube around x (rademacher), or x",
    )
    rademacher_share: Annotated[Number, AddedLater(0.5)] = Field(
        0.5, gt=0, le=1, description="distance of the rademacher start, as a share of the radius: 0.5 in GAT, 1 in SEAT"
    )
    attack_bn: Literal["eval", "train"] = Field("eval", description="BatchNorm mode in the inner attack")

    @model_validator(mode="before")
    @classmethod
    def _relative_step_size(cls, given: Any) -> Any:
        """Replace ``epsilon/4`` by the number, so that the step size follows a radius that a flag changes."""
        if not isinstance(given, dict) or not isinstance(given.get("attack_step_size"), str):
            return given
        relative = SHARE_OF_EPSILON.fullmatch(given["attack_step_size"])
        parts = float(relative[1] or 1) if relative else 0
        if not parts:
            return given
        radius = given_training_radius(given)
        if radius is None or (isinstance(radius, float) and not 0 < radius <= 1):
            # The radius is refused. The step size is left out, because a second refusal would be misleading.
            return {name: value for name, value in given.items() if name != "attack_step_size"}
        return {**given, "attack_step_size": mapped(radius, lambda r: r / parts)}

    @model_validator(mode="before")
    @classmethod
    def _equal_radii_are_one(cls, given: Any) -> Any:
        """Leave out a training radius that equals the threat model's, because both are the same experiment."""
        if not isinstance(given, dict) or as_number(given.get("train_epsilon")) != given_epsilon(given):
            return given
        return {**given, "train_epsilon": None}

    @property
    def training_radius(self) -> float | OverEpochs:
        """Radius of the attack that training runs."""
        return self.epsilon if self.train_epsilon is None else self.train_epsilon


def given_epsilon(given: Mapping[str, Any]) -> float | None:
    """The threat model's radius in options that are not validated yet; None if it is not a number."""
    return as_number(given.get("epsilon", InnerAttackOptions.model_fields["epsilon"].default))


def given_training_radius(given: Mapping[str, Any]) -> float | OverEpochs | None:
    """The radius of the training attack in options that are not validated yet; None if it is not a number."""
    radius = given.get("train_epsilon")
    if radius is None:
        return given_epsilon(given)
    try:
        return OverEpochs.parse(radius) if is_over_epochs(radius) else as_number(radius)
    except ValueError:
        return None


class AwpOptions(Options):
    """Weight perturbation, AWP (Wu et al. 2020) or RWP (Yu et al. 2022), which can be combined with any method."""

    awp_radius: NumberOverEpochs = Field(0.0, ge=0, le=1, description="relative radius gamma of AWP; 0 turns AWP off")
    awp_warmup: int = Field(
        0, ge=0, description="number of epochs before AWP or RWP starts; N - 1 for --awp-warmup N of the official codes"
    )
    rwp_radius: Annotated[NumberOverEpochs, AddedLater(0.0)] = Field(
        0.0, ge=0, le=1, description="relative radius gamma of RWP, instead of AWP; 0 turns RWP off"
    )
    rwp_steps: Annotated[int, AddedLater(10)] = Field(
        10, ge=1, le=1000, description="number of ascent steps of RWP on the weights"
    )
    rwp_threshold: Annotated[NumberOverEpochs, AddedLater(1.7)] = Field(
        1.7, gt=0, le=1e6, description="loss below which an image counts in RWP"
    )

    @model_validator(mode="after")
    def _one_perturbation(self) -> AwpOptions:
        if self.rwp_radius > 0 and self.awp_radius > 0:
            raise ValueError(
                f"rwp_radius {self.rwp_radius} is impossible with awp_radius {self.awp_radius}; one must be 0"
            )
        check_unused(self, ("rwp_steps", "rwp_threshold"), "rwp_radius above 0", needed=self.rwp_radius > 0)
        return self


class HealOptions(Options):
    """Healing of Algorithm 1: Gaussian noise on the first batches of the epoch after FOSC exceeds the threshold."""

    heal: Literal["none", "fosc", "placebo"] = Field(
        "none",
        description="fosc: heal with input noise after FOSC exceeds its threshold; placebo: change the initial weights "
        "by rounding instead, for comparison",
    )
    heal_noise: Number = Field(0.1, gt=0, le=10, description="standard deviation of the healing noise")
    heal_clamp: bool = Field(True, description="clamp noisy images to [0, 1]")
    heal_batches: int = Field(10, ge=1, description="number of noisy batches per alarm (Algorithm 1, line 21)")
