"""Whether the data admit robust models at the sweep's radii."""

from __future__ import annotations

from analysis.report.context import ReportContext
from analysis.report.feasibility_note import feasibility_of
from analysis.report.formatting import format_ends
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable
from analysis.statistics.intervals import clopper_pearson
from core.config.naming import format_number
from core.records import Feasibility

HEADER = ("data set", "radius", "share", "interval", "close / examined")
TEXT = (
    "How many test images have a training image of another class within twice the radius? A point between such two "
    "images is within the radius of both, and no classifier is robust at both. The true share may be higher, because "
    "only pairs of a test and a training image are compared."
)


def feasibility_sections(context: ReportContext) -> list[Section]:
    """One section: the share of test images at which no classifier can be robust; none for records without it."""
    rows = [_row(dataset, entry) for (dataset, _), entry in feasibility_of(context.records).items()]
    if not rows:
        return []
    return [Section("feasibility", "Feasibility of the radius", TEXT, tables=[TextTable(HEADER, rows, words=1)])]


def _row(dataset: str, found: Feasibility) -> tuple[str, ...]:
    sampled = found.examined < found.test_images
    interval = format_ends(clopper_pearson(found.close, found.examined)) if sampled else "all images"
    share = f"{100 * found.share:.1f} %"
    return dataset, format_number(found.epsilon), share, interval, f"{found.close}/{found.examined}"
