"""Options of TRADES."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from core.config.later import AddedLater
from core.config.methods.base import MethodOptions, Passes
from core.config.over_epochs import NumberOverEpochs

Beta = Annotated[NumberOverEpochs, Field(ge=0, le=1000, description="weight of the KL term (1/lambda in TRADES)")]
"""The KL weight of TRADES, which other methods use, too."""


class TradesLossOptions(MethodOptions):
    """Options of the TRADES loss, for TRADES and for methods that use its loss with another attack."""

    beta: Beta = 3.0
    clean_forwards: int = Field(
        1,
        ge=1,
        le=2,
        description="number of train-mode forwards of the clean batch: 1 as in Algorithm 1, 2 as in the official code",
    )
    detach_target: bool = Field(False, description="stop the KL term's gradient through the clean logits")
    adversarial_first: Annotated[bool, AddedLater(False)] = Field(
        False, description="forward the adversarial batch before the clean one, as the official AWP code does"
    )

    smooths_labels: ClassVar = True

    def objective_passes(self) -> Passes:
        """The clean forwards and the adversarial forward, each with its backward."""
        return Passes(1 + self.clean_forwards, 0, 1 + self.clean_forwards)

    def losses_passes(self) -> Passes:
        """One clean and one adversarial forward, each with its backward."""
        return Passes(2, 0, 2)


class TradesOptions(TradesLossOptions):
    """TRADES (Zhang et al. 2019). The defaults follow Algorithm 1 of the TRADES instability paper."""

    method: Literal["trades"] = Field("trades", description="training method")
