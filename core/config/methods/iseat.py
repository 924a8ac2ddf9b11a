"""Options of ISEAT."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from core.config.base import Number
from core.config.methods.base import MethodOptions, Passes

At = Literal["perturbed", "original"]


class IseatOptions(MethodOptions):
    """Instance-wise smoothness-enhanced adversarial training (Li and Spratling). Defaults are those for CIFAR-10."""

    method: Literal["iseat"] = Field("iseat", description="training method")
    smooth: Number = Field(0.1, ge=0, le=1e6, description="weight of the logits' stability: lambda of eq. 15")
    smooth_distance: Literal["squared-l2", "kl"] = Field(
        "squared-l2", description="distance of adversarial and clean logits"
    )
    smooth_weights: Literal["linear", "top", "uniform"] = Field(
        "linear", description="weight of an image: 1 - rank / m, 1 for the most vulnerable tenth only, or 1"
    )
    adv_at: At = Field("perturbed", description="weights at which the stable adversarial logits are computed")
    clean_at: At = Field("original", description="weights at which the stable clean logits are computed")

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """The official code's attack from the clean image, and the weight perturbation for CIFAR-10."""
        return {"inner": "ce", "attack_start": "none", "awp_radius": 0.007}

    def objective_passes(self) -> Passes:
        """Adversarial and clean forwards at both weights, as far as they differ; each has its backward."""
        forwards = 2 + (self.adv_at == "original")
        # vulnerability compares with the clean loss at the original weights, which needs no backward
        return Passes(forwards + (self.clean_at == "perturbed"), 0, forwards)

    def ascent_passes(self) -> Passes:
        """The weight perturbation ascends the adversarial cross-entropy alone (eq. 10)."""
        return Passes(1, 0, 1)
