"""Options of the training method: its objective, its inner attack, weight perturbation and healing."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.config.base import Number, Options


class MethodOptions(Options):
    """What one training step minimises. Defaults follow Algorithm 1 of the TRADES instability paper."""

    method: Literal["trades", "pgd-at"] = Field("trades", description="training method")
    beta: Number = Field(3.0, ge=0, le=1000, description="weight of the KL term (1/lambda in eq. 1)")
    clean_forwards: int = Field(
        1,
        ge=1,
        le=2,
        description="train-mode forwards of the clean batch: 1 as in Algorithm 1, 2 as in the official TRADES code",
    )
    detach_target: bool = Field(False, description="stop the KL term's gradient through the clean logits")


class InnerAttackOptions(Options):
    """The attack that training runs on every batch (l-infinity)."""

    inner: Literal["kl", "ce"] = Field("kl", description="inner loss: kl = TPGD, ce = Appendix F's Modified")
    epsilon: Number = Field(8 / 255, gt=0, le=1, description="l-infinity radius of the threat model, images in [0, 1]")
    attack_steps: int = Field(10, ge=1, le=1000, description="steps of the inner attack")
    attack_step_size: Number = Field(2 / 255, gt=0, le=2, description="step size of the inner attack")
    attack_start: Literal["gaussian", "uniform", "none"] = Field(
        "gaussian", description="start: x + 0.001 randn (TRADES), uniform in the ball, or x"
    )
    attack_bn: Literal["eval", "train"] = Field("eval", description="BatchNorm mode in the inner attack")


class AwpOptions(Options):
    """Adversarial weight perturbation (Wu et al. 2020), composable with any method."""

    awp_radius: Number = Field(0.0, ge=0, le=1, description="AWP's relative radius gamma; 0 turns it off")
    awp_warmup: int = Field(0, ge=0, description="epochs before AWP starts")


class HealOptions(Options):
    """Algorithm 1's healing: Gaussian noise on the first batches of the epoch after FOSC passed the threshold."""

    heal: Literal["none", "fosc"] = Field("none", description="heal with input noise when FOSC passes its threshold")
    heal_noise: Number = Field(0.1, gt=0, le=10, description="standard deviation of the healing noise")
    heal_clamp: bool = Field(True, description="clamp noisy images to [0, 1]")
    heal_batches: int = Field(10, ge=1, description="noisy batches per alarm (Algorithm 1, line 21)")
