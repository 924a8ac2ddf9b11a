"""Options of MART."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from core.config.methods.base import MethodOptions, Passes
from core.config.methods.trades import Beta


class MartOptions(MethodOptions):
    """MART (Wang et al. 2020). The default of beta is that of the official code. The best value in the paper is 5."""

    method: Literal["mart"] = Field("mart", description="training method")
    beta: Beta = 6.0

    smooths_labels: ClassVar = True

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """Cross-entropy attack from the Gaussian start of TRADES, as in the official code."""
        return {"inner": "ce", "attack_start": "gaussian"}

    def objective_passes(self) -> Passes:
        """One clean and one adversarial forward, each with its backward."""
        return Passes(2, 0, 2)
