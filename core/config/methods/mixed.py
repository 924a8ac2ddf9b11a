"""Options of adversarial training on clean and adversarial images."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from core.config.methods.base import MethodOptions, Passes
from core.config.over_epochs import NumberOverEpochs


class MixedOptions(MethodOptions):
    """Clean and adversarial images in every batch (Goodfellow et al. 2015; Kurakin et al. 2017)."""

    method: Literal["mixed-at"] = Field("mixed-at", description="training method")
    clean_share: NumberOverEpochs = Field(0.5, ge=0, le=1, description="weight of the clean images' cross-entropy")

    smooths_labels: ClassVar = True

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """The attack of PGD-AT."""
        return {"inner": "ce", "attack_start": "uniform"}

    def objective_passes(self) -> Passes:
        """One clean and one adversarial forward, each with its backward."""
        return Passes(2, 0, 2)
