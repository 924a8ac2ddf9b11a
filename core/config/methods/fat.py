"""Options of friendly adversarial training."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from core.config.base import Number
from core.config.methods.base import MethodOptions
from core.config.methods.pgd_at import AdversarialOptions
from core.config.methods.trades import Beta, TradesLossOptions
from core.config.over_epochs import NumberOverEpochs, OverEpochs, WholeOverEpochs, is_over_epochs, plain

TauBegin = Annotated[
    Number, Field(ge=0, le=1, description="share of the epochs after which tau grows by 1 for the first time; 1: never")
]
TauEvery = Annotated[Number, Field(gt=0, le=1, description="share of the epochs between two growths of tau")]
Omega = Annotated[
    NumberOverEpochs,
    Field(ge=0, le=1, description="standard deviation of the noise added to the images at each attack step"),
]


class EarlyStopOptions(MethodOptions):
    """PGD that leaves an image ``tau`` steps after it was first misclassified (Zhang et al. 2020, Algorithm 1).

    The attack computes all of its steps for every image, including images that have stopped. Its cost is therefore that
    of PGD. The official code continues with smaller batches instead.
    """

    tau: WholeOverEpochs = Field(
        0, ge=0, le=1000, description="attack steps that a misclassified image still makes, at first"
    )
    tau_begin: TauBegin
    tau_every: TauEvery
    omega: Omega

    @model_validator(mode="before")
    @classmethod
    def _schedule_needs_no_growth(cls, given: Any) -> Any:
        """Leave out the growth if tau itself changes over the epochs."""
        if isinstance(given, dict) and is_over_epochs(given.get("tau")):
            return {"tau_begin": 1.0, **given}
        return given

    @model_validator(mode="after")
    def _changes_in_one_way(self) -> EarlyStopOptions:
        if isinstance(self.tau, OverEpochs) and self.tau_begin != 1:
            raise ValueError(
                f"tau_begin {self.tau_begin:g} is impossible with tau {self.tau}, which changes over the epochs "
                "already; allowed: 1"
            )
        return self

    def tau_in(self, epoch: int, epochs: int) -> int:
        """The value of tau in a 1-based epoch of ``epochs``, if tau itself is a number in it."""
        since = (epoch - self.tau_begin * epochs) / (self.tau_every * epochs)
        # a share of the epochs that is a whole number of them may be off by a rounding
        return int(plain(self.tau)) + max(0, math.ceil(round(since, 9)))


class FatOptions(AdversarialOptions, EarlyStopOptions):
    """Friendly adversarial training (Zhang et al. 2020): tau is 0, 1 after epoch 50 and 2 after epoch 90 of 120."""

    method: Literal["fat"] = Field("fat", description="training method")
    tau_begin: TauBegin = 5 / 12
    tau_every: TauEvery = 1 / 3
    omega: Omega = 0.001

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """PGD-AT's attack."""
        return {"inner": "ce", "attack_start": "uniform"}


class FatTradesOptions(TradesLossOptions, EarlyStopOptions):
    """FAT for TRADES (Zhang et al. 2020): tau is 0 and grows by 1 after epochs 30, 50 and 70 of 85."""

    method: Literal["fat-trades"] = Field("fat-trades", description="training method")
    beta: Beta = 6.0
    tau_begin: TauBegin = 6 / 17
    tau_every: TauEvery = 4 / 17
    omega: Omega = 0.0
