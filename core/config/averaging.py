"""Options of weight averaging, which can be combined with any method."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.config.base import Number, Options, Unset, check_unused
from core.config.later import AddedLater


class AveragingOptions(Options):
    """An average of the weights over training. The average is validated, selected and judged; it is not trained."""

    weight_averaging: Annotated[Literal["none", "ema", "swa"], AddedLater("none")] = Field(
        "none",
        description="average of the weights that is measured and judged in place of the trained weights: exponential "
        "moving average, or stochastic weight averaging (the plain mean)",
    )
    averaging_decay: Annotated[Number, AddedLater(0.999)] = Field(
        0.999, ge=0, lt=1, description="share of the old average that each update of ema keeps"
    )
    averaging_start: Annotated[int, AddedLater(1)] = Field(
        1, ge=1, le=100_000, description="first epoch whose weights are averaged; before it, the weights are measured"
    )
    averaging_interval: Annotated[int | None, Unset("1 for ema, an epoch for swa"), AddedLater(None)] = Field(
        None, ge=1, le=1_000_000_000, description="number of weight updates from one update of the average to the next"
    )

    @property
    def averages(self) -> bool:
        """True if an average is measured in place of the trained weights."""
        return self.weight_averaging != "none"

    @model_validator(mode="after")
    def _used(self) -> AveragingOptions:
        dependent = ("averaging_start", "averaging_interval")
        check_unused(self, dependent, "weight_averaging ema or swa", needed=self.averages)
        check_unused(self, ("averaging_decay",), "weight_averaging ema", needed=self.weight_averaging == "ema")
        return self
