"""Options of gradient alignment."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from core.config.methods.base import MethodOptions, Passes
from core.config.methods.pgd_at import RsFgsmOptions
from core.config.over_epochs import NumberOverEpochs


class GradAlignOptions(MethodOptions):
    """GradAlign (Andriushchenko and Flammarion 2020), a regulariser of single-step adversarial training."""

    method: Literal["grad-align"] = Field("grad-align", description="training method")
    alignment: NumberOverEpochs = Field(
        0.2, ge=0, le=1e6, description="weight of the misalignment of gradients: 0.2 for epsilon 8/255, 2 for 16/255"
    )

    smooths_labels: ClassVar = True
    fixed: ClassVar = frozenset({"inner"})
    differentiates_twice: ClassVar = True

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """The attack of RS-FGSM."""
        return RsFgsmOptions.part_defaults(epsilon)

    @property
    def is_second_order(self) -> bool:
        """The cosine's second gradient keeps its graph."""
        return True

    def objective_passes(self) -> Passes:
        """Three forwards (start, random point, adversarial). The loss's backward passes twice through one of them."""
        return Passes(3, 2, 2)
