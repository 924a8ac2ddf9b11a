"""The kinds of intervals that a page shows, why, and what they mean."""

from __future__ import annotations

from analysis.questions.countable_trials import interval_reason
from analysis.report.context import ReportContext
from analysis.statistics.intervals import INTERVAL_QUESTIONS, IntervalKind

MELDED = (
    "Intervals: melded, {level}, because stopped trials are represented by audited ones. They answer: Which rates at "
    "the end of training cannot be excluded, if the number of trials was fixed in advance?"
)


def interval_sentence(context: ReportContext) -> str:
    """Kind, level and reason of the intervals, and the question that they answer."""
    level = f"{100 * context.level:g} %"
    if any(cell.interval.kind == "melded" for cell in context.cells):
        return MELDED.format(level=level)
    kind: IntervalKind = context.interval
    return (
        f"Intervals: {kind}, {level}, because {interval_reason(kind, context.records, context.history)}. They answer: "
        f"{INTERVAL_QUESTIONS[kind]}"
    )
