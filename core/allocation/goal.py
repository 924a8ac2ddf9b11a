"""The goal of an adaptive sweep: certainty, a budget, or both."""

from __future__ import annotations

from pydantic import Field, model_validator

from core.config.base import Number, Options


class AllocationGoal(Options):
    """The conditions under which a cell gets no more seeds, and under which the sweep starts no more trials.

    A cell is done as soon as *one* of the certainty goals is reached. With both goals, a cell whose rate is too close
    to `until_decided` for a decision still ends when its interval is narrow enough. Without a certainty goal, the whole
    budget is spent.
    """

    until_width: Number | None = Field(
        None, ge=0.02, lt=1, description="give a cell seeds until its interval is at most this wide"
    )
    until_decided: Number | None = Field(
        None, gt=0, lt=1, description="give a cell seeds until its interval excludes this rate"
    )
    max_trials: int | None = Field(
        None, ge=1, description="largest number of trials of the whole sweep, including crashed ones"
    )
    max_device_hours: Number | None = Field(
        None, gt=0, description="device-hours after which no trial starts; running trials are completed"
    )
    min_seeds: int = Field(3, ge=1, description="number of seeds that every cell gets before a cell gets more seeds")
    give_up: int = Field(
        5, ge=1, description="number of consecutive censored trials after which a cell gets no more seeds"
    )

    @model_validator(mode="after")
    def _ends(self) -> AllocationGoal:
        if self.until_width is None and self.max_trials is None and self.max_device_hours is None:
            alone = (
                "" if self.until_decided is None else f"until_decided {self.until_decided} alone may never be reached: "
            )
            raise ValueError(f"{alone}set at least one of until_width, max_trials and max_device_hours")
        return self
