"""The choices that a reader of a report has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from analysis.questions.rates import Label
from analysis.statistics.intervals import IntervalKind
from core.config.base import Number, Options, Unset

TableFormat = Literal["csv", "latex", "markdown"]


class ReportOptions(Options):
    """How the results of a sweep are shown. No option changes a record."""

    format: Annotated[TableFormat | None, Unset("a table for the terminal")] = Field(
        None, description="print only the table of cells, in this format"
    )
    label: Annotated[
        Label | None, Unset("any if all trials train to their end and seeds were fixed in advance, else ever")
    ] = Field(
        None,
        description="event whose rate is shown; ever: unstable at any time; any: unstable at the end of training for "
        "any reason, corrected where trials were stopped",
    )
    interval: Annotated[
        IntervalKind | None,
        Unset("blaker where the number of seeds was fixed, anytime where not, clustered where seeds are pinned"),
    ] = Field(None, description="kind of interval of the rates")
    level: Number = Field(0.95, gt=0, lt=1, description="coverage of all intervals")
    falls_with: Annotated[str | None, Unset("no order of the rates is assumed")] = Field(
        None,
        description="option with which the rate is assumed to fall, such as beta: adds intervals that use it",
    )
    price: Annotated[Number | None, Unset("costs are shown in device-hours")] = Field(
        None, ge=0, description="price per device-hour in any currency; if given, costs are also shown in money"
    )
