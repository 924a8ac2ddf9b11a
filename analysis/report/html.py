"""One self-contained HTML page about a sweep: no script, no font, no picture from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis.questions.countable_trials import countable_trials, interval_reason, started
from analysis.questions.early_stopping_bias import corrected_rates
from analysis.questions.healing import Before
from analysis.questions.rates import LABEL_QUESTIONS, CellRate, Label, cell_rates, epochs_saved
from analysis.report.figures.paper import Panel
from analysis.report.figures.style import PALETTE_DARK, PALETTE_LIGHT
from analysis.report.format import format_interval, format_seconds, format_value
from analysis.report.grid import describe, distinct_factors, facets
from analysis.report.sections.base import Grid, Section
from analysis.report.sections.cost import cost_section
from analysis.report.sections.detection import detector_section
from analysis.report.sections.dynamics import example_section, trajectory_section
from analysis.report.sections.early_stopping_bias import stopping_section
from analysis.report.sections.effects import effect_section
from analysis.report.sections.evaluation import evaluation_sections
from analysis.report.sections.healing import healing_sections
from analysis.report.sections.onset import onset_section
from analysis.report.sections.paper import paper_sections
from analysis.report.sections.provenance import provenance_section
from analysis.report.sections.self_healing import self_healing_sections
from analysis.report.sections.trials import trial_rows
from analysis.report.sections.variance_components import attribution_sections
from analysis.report.summary import answer_sentence
from analysis.report.tables.cells_table import RATE, SOFT, Column, factor_count, table_caption, table_columns
from analysis.statistics.intervals import INTERVAL_QUESTIONS, IntervalKind
from analysis.statistics.intervals import interval as interval_of
from core.records import TrialRecord

FIXED_DESIGN: dict[str, IntervalKind] = {"wilson": "clopper-pearson", "clopper-pearson": "wilson"}
"""The other interval for a number of trials that was fixed in advance: both are shown."""


def write_report(
    records: Sequence[TrialRecord],
    path: Path,
    *,
    sweep: str,
    interval: IntervalKind,
    label: Label,
    generated_at: datetime,
    level: float = 0.95,
    links: Mapping[str, str] | None = None,
    links_note: str = "",
    price: float | None = None,
    landscapes: Sequence[Panel] = (),
    before: Before | None = None,
) -> Path:
    """Write the report of a sweep, finished or still running, to `path`.

    Args:
        records: all trials of the sweep. Rates are computed from those that `countable_trials` returns; running
            trials count only in time and cost, and waiting ones are not shown.
        path: of the HTML file; its folder exists.
        sweep: its name.
        interval: which interval of a rate is shown.
        label: which label's rate is shown.
        generated_at: printed on the page.
        level: coverage of all intervals, in (0, 1).
        links: address of the page of a trial's MLflow run, by the trial's key; other trials have no link.
        links_note: printed under these links.
        price: of a device-hour; costs are shown as money too.
        landscapes: from `landscape_panels`, shown among the single trials.
        before: the earlier sweep whose trials this one trains again, if it does.

    Raises:
        ValueError: `interval`, `label` or `level` is not one of those allowed, a link no http address, or `price`
            negative.
    """
    counted, _ = countable_trials(records)
    records = started(records)
    cells = cell_rates(counted, label, level, interval)
    environment = Environment(
        loader=PackageLoader("analysis.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(value=format_value, interval=format_interval, describe=describe)
    page = environment.get_template("report.html").render(
        sweep=sweep,
        question=LABEL_QUESTIONS[label],
        answer=answer_sentence(cells),
        interval=interval,
        interval_question=INTERVAL_QUESTIONS[interval],
        interval_reason=interval_reason(interval, records),
        level=f"{100 * level:g} %",
        generated_at=generated_at.strftime("%Y-%m-%d %H:%M %Z").strip(),
        facts=_facts(records, len(records) - len(started(counted)), cells),
        facets=facets(cells),
        cells_grid=_cells_grid(cells),
        sections=_sections(records, counted, cells, label, level, interval, price, landscapes, before)
        if records
        else [],
        trials=trial_rows(records, distinct_factors(cells), links or {}),
        trial_factors=distinct_factors(cells),
        links_note=links_note,
        light=PALETTE_LIGHT,
        dark=PALETTE_DARK,
    )
    path.write_text(page, encoding="utf-8")
    return path


def _sections(
    records: Sequence[TrialRecord],
    counted: Sequence[TrialRecord],
    cells: Sequence[CellRate],
    label: Label,
    level: float,
    interval: IntervalKind,
    price: float | None,
    landscapes: Sequence[Panel],
    before: Before | None,
) -> list[Section]:
    corrected = corrected_rates(counted, level, "anytime" if interval == "anytime" else "melded")
    return [
        onset_section(records, level),
        effect_section(counted, cells, label, level),
        trajectory_section(records),
        example_section(records, landscapes, before),
        *healing_sections(counted, before, level),
        *self_healing_sections(records, cells),
        *evaluation_sections(counted),
        detector_section(records, level),
        stopping_section(counted, corrected, level, interval),
        cost_section(records, cells, corrected, price),
        *attribution_sections(counted, level),
        *paper_sections(counted, cells, level, before),
        provenance_section(records),
    ]


def _facts(records: Sequence[TrialRecord], waiting: int, cells: Sequence[CellRate]) -> list[tuple[str, str]]:
    """The handful of numbers at the top: (number, what it counts)."""
    planned = sum(record.epochs_planned for record in records)
    saved = sum(map(epochs_saved, records))
    counts: dict[str, Any] = {
        "cells": len(cells),
        "trials counted": sum(cell.trials for cell in cells),
        "unstable": sum(cell.unstable for cell in cells),
        "healed": sum(cell.healed for cell in cells),
        "censored": sum(cell.censored for cell in cells),
        "running": sum(cell.running for cell in cells),
    }
    if waiting:
        counts["finished, but not to be counted before earlier seeds"] = waiting
    return [
        *((str(count), name) for name, count in counts.items()),
        (f"{100 * saved / planned:.0f} %" if planned else "0 %", "of planned epochs saved"),
        (format_seconds(sum(record.device_seconds for record in records)), "device time used"),
    ]


def _cells_grid(cells: Sequence[CellRate]) -> Grid:
    columns = table_columns(cells)
    if cells and (other := FIXED_DESIGN.get(cells[0].interval.kind)):
        place = 1 + next(i for i, column in enumerate(columns) if column.header.startswith(RATE))
        columns.insert(place, Column(f"{other}\ninterval", lambda cell: f"[{_other_interval(cell, other)}]"))
    header = [column.header.replace(SOFT, "") for column in columns]
    rows = [[column.text(cell) for column in columns] for cell in cells]
    return Grid(header, rows, factor_count(cells), table_caption(cells))


def _other_interval(cell: CellRate, kind: IntervalKind) -> str:
    found = interval_of(kind, cell.unstable, cell.trials, cell.interval.level)
    return f"{100 * found.low:.0f}–{100 * found.high:.0f}"
