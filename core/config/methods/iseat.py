"""Options of ISEAT."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from core.config.methods.base import MethodOptions, Passes
from core.config.over_epochs import NumberOverEpochs

At = Literal["perturbed", "original"]


class IseatOptions(MethodOptions):
    """Instance-wise smoothness-enhanced adversarial training (Li and Spratling). The defaults are for CIFAR-10."""

    method: Literal["iseat"] = Field("iseat", description="training method")
    smooth: NumberOverEpochs = Field(
        0.1, ge=0, le=1e6, description="weight of the distance of the logits (lambda of eq. 15)"
    )
    smooth_distance: Literal["squared-l2", "kl"] = Field(
        "squared-l2", description="distance of adversarial and clean logits"
    )
    smooth_weights: Literal["linear", "top", "uniform"] = Field(
        "linear", description="weight of an image: 1 - rank / m, 1 for only the most vulnerable tenth, or 1 for all"
    )
    adv_at: At = Field(
        "perturbed", description="network weights at which the adversarial logits of the distance are computed"
    )
    clean_at: At = Field(
        "original", description="network weights at which the clean logits of the distance are computed"
    )

    smooths_labels: ClassVar = True

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """The attack of the official code, from the clean image, and its weight perturbation for CIFAR-10."""
        return {"inner": "ce", "attack_start": "none", "awp_radius": 0.007}

    def objective_passes(self) -> Passes:
        """Adversarial and clean forwards at the weights that the options choose, each with its backward."""
        forwards = 2 + (self.adv_at == "original")
        # Vulnerability uses the clean loss at the original weights, which needs no backward.
        return Passes(forwards + (self.clean_at == "perturbed"), 0, forwards)

    def ascent_passes(self) -> Passes:
        """Passes of the adversarial cross-entropy, which the weight perturbation ascends (eq. 10)."""
        return Passes(1, 0, 1)
