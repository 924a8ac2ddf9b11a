"""The main table of a sweep, one row per cell: its columns, and the table for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from analysis.questions.rates import LABEL_QUESTIONS, CellRate
from analysis.report.format import NOTHING, format_gap, format_percent, format_rate, format_value, time_unit
from analysis.report.grid import distinct_factors

SOFT = "\u00ad"
"""Soft hyphen: a header may break here."""

RATE = "rate,"
"""How the header of the column with the rate starts."""

ACCURACIES = {
    "clean": "clean_accuracy",
    "pgd-10": "pgd10_accuracy",
    "pgd-50": "pgd50_accuracy",
    "square": "square_accuracy",
}


@dataclass(frozen=True)
class Column:
    """A column: its header and how a cell is written in it."""

    header: str
    text: Callable[[CellRate], str]
    wraps: bool = False
    """May its cells be folded where the table is wide?"""


def main_table(cells: Sequence[CellRate]) -> Table:
    """The table for a terminal; reads well from 100 columns on."""
    table = Table(box=SIMPLE_HEAD, caption=table_caption(cells), caption_justify="left", pad_edge=False, padding=0)
    columns = table_columns(cells)
    for index, column in enumerate(columns):
        header = column.header.replace("_", "\n").replace(SOFT, "-\n")
        if index < factor_count(cells):  # may be long: fold it, but never mid-word of its name
            table.add_column(_escape_rich(header), overflow="fold", min_width=max(map(len, header.split("\n"))))
        else:
            table.add_column(_escape_rich(header), justify="right", no_wrap=not column.wraps)
    for cell in cells:
        table.add_row(*(_escape_rich(column.text(cell)) for column in columns))
    return table


def table_columns(cells: Sequence[CellRate]) -> list[Column]:
    """Columns of the table, the varying options first."""
    names = distinct_factors(cells)
    factors = [_factor(name) for name in names]
    if not factors:
        factors = [Column("cell", lambda cell: cell.cell_id)]
    level = f"{100 * cells[0].interval.level:g} %" if cells else ""
    numbers = [
        Column("unstable\n/ trials", lambda cell: f"{cell.unstable}/{cell.trials}"),
        Column(f"{RATE} {level}\ninterval", format_rate),
    ]
    counts = {f"cen{SOFT}sored": "censored", f"hea{SOFT}led": "healed"}
    if any(cell.running for cell in cells):
        counts[f"run{SOFT}ning"] = "running"
    numbers += [_field(header, field, lambda count: str(count or NOTHING)) for header, field in counts.items()]
    numbers += [_field(header, field, format_percent) for header, field in ACCURACIES.items()]
    if any(cell.autoattack_gap for cell in cells):
        numbers.append(Column("AA\ngap", format_gap, wraps=True))
    unit, seconds = time_unit(max((cell.device_seconds for cell in cells), default=0))
    numbers += [
        Column("epochs\n(saved)", lambda cell: f"{cell.epochs_run} ({cell.epochs_saved})"),
        Column(
            f"device {unit}\n(saved)",
            lambda cell: f"{cell.device_seconds / seconds:.1f} ({cell.device_seconds_saved / seconds:.1f})",
        ),
    ]
    return [*factors, *numbers]


def _factor(name: str) -> Column:
    return Column(name, lambda cell: format_value(cell.factors[name]))


def _field(header: str, field: str, form: Callable[[Any], str]) -> Column:
    return Column(header, lambda cell: form(getattr(cell, field)))


def factor_count(cells: Sequence[CellRate]) -> int:
    """How many columns name the cell."""
    return max(1, len(distinct_factors(cells)))


def table_caption(cells: Sequence[CellRate]) -> str:
    """What the columns mean."""
    if not cells:
        return "No trial yet."
    first = cells[0]
    text = (
        f"{LABEL_QUESTIONS[first.label]} {100 * first.interval.level:g} % interval: {first.interval.kind}; "
        "censored: crashed, diverged, timed out or unmeasured, in no rate; accuracies in %, selected checkpoint, test."
    )
    if any(cell.autoattack_gap for cell in cells):
        text += " AA gap: PGD-10 minus AutoAttack, mean ± sample sd (number of trials, unless it is all)."
    return text


def _escape_rich(text: str) -> str:
    return text.replace("[", r"\[")
