"""Options of subspace adversarial training."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from core.config.base import Number
from core.config.methods.pgd_at import AdversarialOptions, RsFgsmOptions


class SubAtOptions(AdversarialOptions):
    """Subspace adversarial training (Li et al. 2022). Defaults are those of the official code for Fast-AT.

    The official code trains 65 epochs in the first stage and 40 in the second, which are ``epochs 105`` here. The
    learning rate of the first stage is that of the cell.
    """

    method: Literal["sub-at"] = Field("sub-at", description="training method")
    sampling_share: Number = Field(
        0.62, gt=0, le=1, description="share of the epochs that sample weights; the others train in the subspace"
    )
    snapshots_per_epoch: int = Field(2, ge=1, le=1000, description="times per sampled epoch that the weights are kept")
    subspace_dimensions: int = Field(
        80, ge=1, le=10000, description="dimensions of the subspace, at most the number of snapshots after the first"
    )
    subspace_lr: Number = Field(1.0, gt=0, le=1000, description="learning rate of all epochs in the subspace")

    fixed: ClassVar = frozenset({"inner"})

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """RS-FGSM's step."""
        return RsFgsmOptions.part_defaults(epsilon)
