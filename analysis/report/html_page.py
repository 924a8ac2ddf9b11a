"""The report as one self-contained HTML page, which loads no script, font or picture from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from analysis.questions.mixtures import mixtures
from analysis.questions.rates import LABEL_QUESTIONS, CellRate, epochs_saved
from analysis.report.answer_sentence import answer_sentence
from analysis.report.context import ReportContext
from analysis.report.decision_sentence import decision_sentence
from analysis.report.definition import unstable_definition
from analysis.report.end_of_training import end_sentence
from analysis.report.facets import facets
from analysis.report.feasibility_note import feasibility_warnings
from analysis.report.figures.style import PALETTE_DARK, PALETTE_LIGHT
from analysis.report.formatting import format_count, format_ends, format_seconds
from analysis.report.interval_sentence import interval_sentence
from analysis.report.sections import SECTIONS
from analysis.report.sections.base import Section
from analysis.report.sections.trials import trial_rows
from analysis.report.tables.cells_table import (
    RATE_HEADER,
    SOFT_HYPHEN,
    CellColumn,
    factor_count,
    table_caption,
    table_columns,
)
from analysis.report.tables.text_table import TextTable
from analysis.statistics.intervals import IntervalKind
from analysis.statistics.intervals import interval as interval_of
from core.config.naming import describe, format_value
from core.records import TrialRecord

OTHER_INTERVAL: dict[str, IntervalKind] = {"blaker": "wilson", "wilson": "blaker", "clopper-pearson": "blaker"}
"""The second interval that the page shows for a number of trials that was fixed in advance."""
SETTING = ("method", "dataset", "model", "epsilon", "attack_steps", "epochs", "batch_size", "lr")
"""Options that the top of the page names, where all cells have the same value."""
OPTION = re.compile(r"(?<!\w)--[a-z][a-z0-9-]*")


def write_report(
    context: ReportContext, path: Path, *, generated_at: datetime, advance: Callable[[], None] = lambda: None
) -> Path:
    """Write the report of a sweep, finished or still running.

    Args:
        context: the sweep and how its report is made. Running trials count only in time and cost.
        path: path of the HTML file, in a folder that exists.
        generated_at: time that the page states.
        advance: called after each of `SECTIONS`.

    Raises:
        ValueError: the context's interval, label or level is not one of those allowed, a link is no http address, or
            the price is negative.
    """
    records, cells = context.records, context.cells
    environment = Environment(
        loader=PackageLoader("analysis.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        value=format_value, ends=format_ends, count=format_count, describe=describe, whole=whole_options
    )
    page = environment.get_template("report.html").render(
        sweep=context.sweep,
        setting=_setting(records),
        question=LABEL_QUESTIONS[context.label],
        definition=unstable_definition(records[0].protocol) if records else "",
        warnings=[*filter(None, [context.stopped_because]), *feasibility_warnings(records), *mixtures(records)],
        answer=answer_sentence(cells, decision_sentence(context), context.together),
        at_the_end=end_sentence(context),
        interval=interval_sentence(context),
        generated_at=generated_at.strftime("%Y-%m-%d %H:%M %Z").strip(),
        facts=_facts(context),
        facets=facets(cells),
        cells_table=_cells_table(cells, context.together),
        all_anytime=all(cell.interval.kind == "anytime" for cell in cells),
        sections=_sections(context, advance) if records else [],
        trials=trial_rows(context),
        links_note=context.links_note,
        light=PALETTE_LIGHT,
        dark=PALETTE_DARK,
    )
    path.write_text(page, encoding="utf-8")
    return path


def whole_options(text: str) -> Markup:
    """The text as HTML in which no line ends within an option of a command, such as ``--no-stop``."""
    return Markup(OPTION.sub(r'<span class="whole">\g<0></span>', str(escape(text))))


def _setting(records: Sequence[TrialRecord]) -> str:
    """The `SETTING` that all trials share, such as ``method=trades dataset=digits``."""
    values = {name: [record.cell.get(name) for record in records] for name in SETTING}
    return describe({name: found[0] for name, found in values.items() if found and found.count(found[0]) == len(found)})


def _sections(context: ReportContext, advance: Callable[[], None]) -> list[Section]:
    found: list[Section] = []
    for make in SECTIONS:
        found += make(context)
        advance()
    return found


def _facts(context: ReportContext) -> list[tuple[str, str]]:
    """The numbers at the top of the page as (number, what it counts), without counts of zero."""
    records, cells = context.records, context.cells
    planned = sum(record.epochs_planned for record in records)
    saved = sum(map(epochs_saved, records))
    always = {
        "cells": len(cells),
        "trials counted": sum(cell.trials for cell in cells),
        "unstable": sum(cell.unstable for cell in cells),
    }
    optional = {
        "healed": sum(cell.healed for cell in cells),
        "censored": sum(cell.censored for cell in cells),
        "running": sum(cell.running for cell in cells),
        "finished, but not counted before earlier seeds": context.uncounted,
        "finished after the end of their cell, not counted": context.left_out,
    }
    facts = [(str(count), name) for name, count in (always | {n: c for n, c in optional.items() if c}).items()]
    if saved:
        facts.append((f"{100 * saved / planned:.0f} %", "of planned epochs saved"))
    return [*facts, (format_seconds(sum(record.device_seconds for record in records)), "device time used")]


def _cells_table(cells: Sequence[CellRate], together: Sequence[CellRate]) -> TextTable:
    columns = table_columns(cells)
    if len(cells) > 1:
        place = 1 + next(i for i, column in enumerate(columns) if column.header.startswith(RATE_HEADER))
        wider = {cell.cell_id: cell.interval for cell in together}
        columns.insert(place, CellColumn("all cells\ntogether", lambda cell: f"[{format_ends(wider[cell.cell_id])}]"))
    if cells and (other := OTHER_INTERVAL.get(cells[0].interval.kind)):
        place = 1 + next(i for i, column in enumerate(columns) if column.header.startswith(RATE_HEADER))
        columns.insert(place, CellColumn(f"{other}\ninterval", lambda cell: f"[{_other_ends(cell, other)}]"))
    header = [column.header.replace(SOFT_HYPHEN, "") for column in columns]
    rows = [[column.text(cell) for column in columns] for cell in cells]
    return TextTable(header, rows, factor_count(cells), table_caption(cells)).without_empty_columns()


def _other_ends(cell: CellRate, kind: IntervalKind) -> str:
    return format_ends(interval_of(kind, cell.unstable, cell.trials, cell.interval.level))
