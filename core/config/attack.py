"""Options of the inner attack, and of what is composed with any method: weight perturbation and healing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from core.config.base import Number, Options
from core.config.later import AddedLater


class InnerAttackOptions(Options):
    """The attack that training runs on every batch (l-infinity). A method may have other defaults."""

    inner: Literal["kl", "ce"] = Field("kl", description="inner loss: kl = TPGD, ce = Appendix F's Modified")
    epsilon: Number = Field(8 / 255, gt=0, le=1, description="l-infinity radius of the threat model, images in [0, 1]")
    attack_steps: int = Field(10, ge=1, le=1000, description="steps of the inner attack")
    attack_step_size: Number = Field(2 / 255, gt=0, le=2, description="step size of the inner attack")
    attack_start: Literal["gaussian", "uniform", "rademacher", "none"] = Field(
        "gaussian",
        description="start: x + 0.001 randn (TRADES), uniform in the ball, on its corners (rademacher), or x",
    )
    rademacher_share: Annotated[Number, AddedLater(0.5)] = Field(
        0.5, gt=0, le=1, description="distance of the rademacher start as a share of epsilon: GAT 0.5, SEAT 1"
    )
    attack_bn: Literal["eval", "train"] = Field("eval", description="BatchNorm mode in the inner attack")


class AwpOptions(Options):
    """Adversarial weight perturbation (Wu et al. 2020), composable with any method."""

    awp_radius: Number = Field(0.0, ge=0, le=1, description="AWP's relative radius gamma; 0 turns it off")
    awp_warmup: int = Field(
        0, ge=0, description="epochs before AWP starts; N - 1 for --awp-warmup N of the official code"
    )


class HealOptions(Options):
    """Algorithm 1's healing: Gaussian noise on the first batches of the epoch after FOSC passed the threshold."""

    heal: Literal["none", "fosc"] = Field("none", description="heal with input noise when FOSC passes its threshold")
    heal_noise: Number = Field(0.1, gt=0, le=10, description="standard deviation of the healing noise")
    heal_clamp: bool = Field(True, description="clamp noisy images to [0, 1]")
    heal_batches: int = Field(10, ge=1, description="noisy batches per alarm (Algorithm 1, line 21)")
