"""What a sweep is asked for: certainty, a budget, or both."""

from __future__ import annotations

from pydantic import Field, model_validator

from core.config.base import Number, Options


class AllocationGoal(Options):
    """When a cell has enough seeds, and when the sweep may spend no more.

    A cell is done as soon as *one* of the certainty goals is reached: with both set, a cell whose rate is so close to
    `until_decided` that it can't be told from it still ends once its interval is narrow. With budgets only, every trial
    of the budget is spent.
    """

    until_width: Number | None = Field(
        None, ge=0.02, lt=1, description="give a cell seeds until its interval is at most this wide"
    )
    until_decided: Number | None = Field(
        None, gt=0, lt=1, description="give a cell seeds until its interval excludes this rate"
    )
    max_trials: int | None = Field(None, ge=1, description="most trials of the whole sweep, crashed ones included")
    max_device_hours: Number | None = Field(
        None, gt=0, description="device-hours after which no trial starts; running ones end"
    )
    min_seeds: int = Field(3, ge=1, description="seeds of every cell before any cell gets more than another")
    give_up: int = Field(5, ge=1, description="censored trials in a row after which a cell gets no more seeds")

    @model_validator(mode="after")
    def _ends(self) -> AllocationGoal:
        if self.until_width is None and self.max_trials is None and self.max_device_hours is None:
            alone = "" if self.until_decided is None else f"until_decided {self.until_decided} alone may never be met: "
            raise ValueError(f"{alone}set at least one of until_width, max_trials and max_device_hours")
        return self
