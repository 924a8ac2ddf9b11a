"""What a reader of a report may choose."""

from __future__ import annotations

from pydantic import Field

from analysis.questions.rates import Label
from analysis.report.tables.text_formats import TableFormat
from analysis.statistics.intervals import IntervalKind
from core.config.base import Number, Options


class ReportOptions(Options):
    """How a sweep's results are shown. Nothing here changes a record."""

    format: TableFormat | None = Field(None, description="print only the table, in this format (default: a table here)")
    label: Label | None = Field(
        None, description="what counts as unstable (default: any; ever where seeds were added while looking)"
    )
    interval: IntervalKind | None = Field(
        None,
        description="of rates (default: wilson where the number of seeds was fixed, anytime where it was not, "
        "clustered where seeds are pinned in groups)",
    )
    level: Number = Field(0.95, gt=0, lt=1, description="coverage of all intervals")
    price: Number | None = Field(None, ge=0, description="of a device-hour, in any currency; the cost is money then")
