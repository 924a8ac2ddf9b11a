"""Rates that are assumed to fall with one option."""

from __future__ import annotations

from analysis.questions.rates import CellRate
from analysis.report.context import ReportContext
from analysis.report.formatting import format_count, format_rate, format_value
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable
from analysis.statistics.intervals import Interval
from analysis.statistics.monotone import falling_ends


def monotone_sections(context: ReportContext) -> list[Section]:
    """One section with pooled intervals; none unless the reader assumes that the rate falls with an option."""
    option = context.falls_with
    if option is None:
        return []
    lines: dict[str, list[CellRate]] = {}
    for cell in context.cells:
        if cell.trials:
            others = {name: value for name, value in cell.factors.items() if name != option}
            lines.setdefault(str(others), []).append(cell)
    rows = []
    for line in lines.values():
        line.sort(key=lambda cell: cell.factors[option])
        ends = falling_ends([(cell.unstable, cell.trials) for cell in line], context.level)
        for cell, (low, high) in zip(line, ends, strict=True):
            pooled = Interval(low, high, context.level, "monotone")
            values = [format_value(cell.factors[name]) for name in context.factors]
            alone = format_rate(cell.rate, cell.interval)
            rows.append([*values, format_count(cell), alone, format_rate(cell.rate, pooled)])
    header = [*context.factors, "unstable", "rate, alone", f"if it falls with {option}"]
    return [
        Section(
            "monotone",
            f"Rates that fall with {option}",
            f"These intervals hold only if the rate does not rise with {option} while the other options stay the same. "
            "This is an assumption of the reader (--falls-with), which this sweep cannot prove. The trials of other "
            "cells then bound a cell's rate. Where it excludes the rate of its cell, the assumption is doubtful.",
            tables=[TextTable(header, rows, len(context.factors))],
        )
    ]
