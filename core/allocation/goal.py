"""The goal of an adaptive sweep: certainty, a budget, or both."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from core.allocation.decision_design import default_zone
from core.config.base import Number, Options, Unset


class AllocationGoal(Options):
    """The conditions under which a cell gets no more seeds, and under which the sweep starts no more trials.

    With one certainty goal, a cell ends by a sequential design with exact error probabilities
    (`core.allocation.sequential_design`). With both goals, a cell is done as soon as one of them is reached by its
    anytime interval; a cell whose rate is too close to `until_decided` for a decision still ends when its interval is
    narrow enough. Without a certainty goal, the whole budget is spent.
    """

    until_width: Annotated[Number | None, Unset("none")] = Field(
        None, ge=0.02, lt=1, description="give a cell seeds until its interval is at most this wide"
    )
    until_decided: Annotated[Number | None, Unset("none")] = Field(
        None, gt=0, lt=1, description="give a cell seeds until its rate is decided to be above or below this one"
    )
    indifference: Annotated[Number | None, Unset("odds by 7/3 above and below: 0.3 to 0.7 for 0.5")] = Field(
        None,
        ge=0.02,
        lt=0.5,
        description="half width of the zone around --until-decided in which a wrong decision does no harm; outside, a "
        "decision is wrong with at most 5 %",
    )
    max_trials: Annotated[int | None, Unset("no limit")] = Field(
        None, ge=1, description="largest number of trials of the whole sweep, including crashed ones"
    )
    max_device_hours: Annotated[Number | None, Unset("no limit")] = Field(
        None,
        gt=0,
        description="device-hours after which an adaptive sweep starts no trial and completes running ones; with "
        "--seeds or --seeds-from it ends a sweep of fixed seeds, whose running trials keep their checkpoints",
    )
    min_seeds: int = Field(3, ge=1, description="number of seeds that every cell gets before a cell gets more seeds")
    give_up: int = Field(
        5, ge=1, description="number of consecutive censored trials after which a cell gets no more seeds"
    )

    @property
    def zone(self) -> tuple[float, float]:
        """The rates between which a decision is not promised to be right; `until_decided` must be set."""
        assert self.until_decided is not None
        rate = float(self.until_decided)
        if self.indifference is None:
            return default_zone(rate)
        return rate - float(self.indifference), rate + float(self.indifference)

    @model_validator(mode="after")
    def _zone_is_possible(self) -> AllocationGoal:
        if self.indifference is None:
            return self
        if self.until_decided is None or self.until_width is not None:
            raise ValueError(f"indifference {self.indifference} needs until_decided, without until_width")
        low, high = self.zone
        if not 0 < low < high < 1:
            raise ValueError(
                f"indifference {self.indifference} around until_decided {self.until_decided} must be within 0 and 1"
            )
        return self

    @model_validator(mode="after")
    def _ends(self) -> AllocationGoal:
        if self.until_width is None and self.max_trials is None and self.max_device_hours is None:
            alone = (
                "" if self.until_decided is None else f"until_decided {self.until_decided} alone may never be reached: "
            )
            raise ValueError(f"{alone}set at least one of until_width, max_trials and max_device_hours")
        return self
