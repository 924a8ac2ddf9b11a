"""Options of the inner attack, of weight perturbation and of healing, which can be combined with any method."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from core.config.base import Number, Options
from core.config.later import AddedLater
from core.config.over_epochs import NumberOverEpochs


class InnerAttackOptions(Options):
    """The l-infinity attack on each training batch. The defaults of a method may differ from these."""

    inner: Literal["kl", "ce"] = Field(
        "kl", description="inner loss: kl as in TRADES (TPGD), or cross-entropy (Modified in Appendix F)"
    )
    epsilon: Number = Field(
        8 / 255, gt=0, le=1, description="l-infinity radius of the threat model, for images in [0, 1]"
    )
    attack_steps: int = Field(10, ge=1, le=1000, description="number of steps of the inner attack")
    attack_step_size: NumberOverEpochs = Field(2 / 255, gt=0, le=2, description="step size of the inner attack")
    attack_start: Literal["gaussian", "uniform", "rademacher", "none"] = Field(
        "gaussian",
        description="first image of the inner attack: x + 0.001 randn (TRADES), uniform in the ball, a random corner "
        "of a cube around x (rademacher), or x",
    )
    rademacher_share: Annotated[Number, AddedLater(0.5)] = Field(
        0.5, gt=0, le=1, description="distance of the rademacher start, as a share of epsilon: 0.5 in GAT, 1 in SEAT"
    )
    attack_bn: Literal["eval", "train"] = Field("eval", description="BatchNorm mode in the inner attack")


class AwpOptions(Options):
    """Adversarial weight perturbation (AWP, Wu et al. 2020), which can be combined with any method."""

    awp_radius: NumberOverEpochs = Field(0.0, ge=0, le=1, description="relative radius gamma of AWP; 0 turns AWP off")
    awp_warmup: int = Field(
        0, ge=0, description="number of epochs before AWP starts; N - 1 for --awp-warmup N of the official code"
    )


class HealOptions(Options):
    """Healing of Algorithm 1: Gaussian noise on the first batches of the epoch after FOSC exceeds the threshold."""

    heal: Literal["none", "fosc"] = Field("none", description="heal with input noise after FOSC exceeds its threshold")
    heal_noise: Number = Field(0.1, gt=0, le=10, description="standard deviation of the healing noise")
    heal_clamp: bool = Field(True, description="clamp noisy images to [0, 1]")
    heal_batches: int = Field(10, ge=1, description="number of noisy batches per alarm (Algorithm 1, line 21)")
