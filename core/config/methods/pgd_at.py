"""Options of PGD adversarial training and of its single-step forms."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from core.config.methods.base import MethodOptions, Passes


class PgdAtOptions(MethodOptions):
    """PGD adversarial training (Madry et al. 2018): cross-entropy attack from a uniform start."""

    method: Literal["pgd-at"] = Field("pgd-at", description="training method")

    counted_before: ClassVar = {"beta": 3.0, "clean_forwards": 1, "detach_target": False}

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """Madry et al.'s attack; its steps and step size are the usual ones."""
        return {"inner": "ce", "attack_start": "uniform"}

    def objective_passes(self) -> Passes:
        """One forward and one backward of the adversarial batch."""
        return Passes(1, 0, 1)
