"""The main table of a sweep, one row for each cell: its columns, its caption, and its form for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from analysis.questions.rates import LABEL_QUESTIONS, CellRate
from analysis.report.attack_names import attack_name, short_label
from analysis.report.facets import distinct_factors
from analysis.report.formatting import (
    NOTHING,
    format_censored,
    format_count,
    format_gap,
    format_percent,
    format_rate,
    time_unit,
)
from core.config.naming import consequent_factors, coupled_factors, format_value

SOFT_HYPHEN = "\u00ad"
"""Character of a header at which a narrow column may break it."""

RATE_HEADER = "rate,"
"""Start of the header of the column with the rate."""

ACCURACIES = {
    "clean": "clean_accuracy",
    "pgd-10": "pgd10_accuracy",
    "pgd-50x5": "pgd50_accuracy",
    "square": "square_accuracy",
}
"""Field of `CellRate` with the accuracy under each attack, by the attack's key in a record."""


@dataclass(frozen=True)
class CellColumn:
    """A column of the main table: its header, and the text of a cell in it."""

    header: str
    text: Callable[[CellRate], str]
    wraps: bool = False
    """Whether the column's texts may wrap where the table is too wide."""


def main_table(cells: Sequence[CellRate]) -> Table:
    """The table for a terminal of at least 100 columns."""
    table = Table(box=SIMPLE_HEAD, caption=table_caption(cells), caption_justify="left", pad_edge=False, padding=0)
    columns = table_columns(cells)
    for index, column in enumerate(columns):
        header = column.header.replace("_", "\n").replace(SOFT_HYPHEN, "-\n")
        if index < factor_count(cells):  # values may be long: they wrap, but the words of the header stay whole
            table.add_column(_escape_rich(header), overflow="fold", min_width=max(map(len, header.split("\n"))))
        else:
            table.add_column(_escape_rich(header), justify="right", no_wrap=not column.wraps)
    for cell in cells:
        table.add_row(*(_escape_rich(column.text(cell)) for column in columns))
    return table


def table_columns(cells: Sequence[CellRate]) -> list[CellColumn]:
    """The columns of the table, the options that vary first."""
    names = distinct_factors(cells)
    factors = [_factor(name) for name in names]
    if not factors:
        factors = [CellColumn("cell", lambda cell: cell.setting)]
    level = f"{100 * cells[0].interval.level:g} %" if cells else ""
    numbers = [
        CellColumn("unstable\n/ trials", format_count),
        CellColumn(f"{RATE_HEADER} {level}\ninterval", lambda cell: _rate(cell, cells)),
        CellColumn(f"cen{SOFT_HYPHEN}sored", format_censored),
    ]
    counts = {f"hea{SOFT_HYPHEN}led": "healed"}
    if any(cell.running for cell in cells):
        counts[f"run{SOFT_HYPHEN}ning"] = "running"
    numbers += [_field(header, field, lambda count: str(count or NOTHING)) for header, field in counts.items()]
    numbers += [
        _field(_narrow(short_label(measured_label(cells, attack))), field, format_percent)
        for attack, field in ACCURACIES.items()
    ]
    if any(cell.autoattack_gap for cell in cells):
        numbers.append(CellColumn("AA\ngap", format_gap, wraps=True))
    unit, seconds = time_unit(max((cell.device_seconds for cell in cells), default=0))
    numbers += [
        CellColumn("epochs\n(saved)", lambda cell: f"{cell.epochs_run} ({cell.epochs_saved})"),
        CellColumn(
            f"device {unit}\n(saved)",
            lambda cell: f"{cell.device_seconds / seconds:.1f} ({cell.device_seconds_saved / seconds:.1f})",
        ),
    ]
    return [*factors, *numbers]


def measured_label(cells: Sequence[CellRate], attack: str) -> str:
    """The attack as it was run in these cells, such as ``pgd-20``; all its forms if cells differ: ``pgd-10/pgd-20``."""
    return "/".join(dict.fromkeys(label for cell in cells for label in cell.labels.get(attack, ()))) or attack


def factor_count(cells: Sequence[CellRate]) -> int:
    """The number of leading columns that name the cell."""
    return max(1, len(distinct_factors(cells)))


def table_caption(cells: Sequence[CellRate]) -> str:
    """The explanation of the columns."""
    if not cells:
        return "No trial yet."
    first = cells[0]
    level = f"{100 * first.interval.level:g} % interval"
    text = f"{LABEL_QUESTIONS[first.label]} {level}: {first.interval.kind}. "
    if len({cell.interval.kind for cell in cells}) > 1:
        text = f"{LABEL_QUESTIONS[first.label]} {level}: sequential; with * anytime, because the cell has not ended. "
    if any(cell.unknown for cell in cells):
        text += "3–5/10: 3 were unstable at their end, and 2 were stopped, so that their end is unknown. "
    text += "Censored trials crashed, diverged, timed out or lack a measurement; no rate counts them"
    text += (
        " (in brackets: the rate if none or all of them were unstable). "
        if any(cell.censored for cell in cells)
        else ". "
    )
    text += "Accuracies in %: selected checkpoint, test images."
    if any(cell.autoattack_gap for cell in cells):
        pgd = attack_name(measured_label(cells, "pgd-10"))
        text += f" AA gap: {pgd} minus AutoAttack, mean ± sample sd (number of trials, unless all have it)."
    options = [cell.factors for cell in cells]
    followers = consequent_factors(options)
    for name, others in coupled_factors(options).items():
        if others and name not in followers:
            text += f" Changed together with {name}: {', '.join(others)}."
    if followers:
        text += f" Follow from the other columns: {', '.join(followers)}."
    return text


def _rate(cell: CellRate, cells: Sequence[CellRate]) -> str:
    mixed = cell.interval.kind == "anytime" and any(other.interval.kind != "anytime" for other in cells)
    return format_rate(cell.rate, cell.interval) + "*" * mixed


def _factor(name: str) -> CellColumn:
    return CellColumn(name, lambda cell: format_value(cell.factors[name]))


def _field(header: str, field: str, form: Callable[[Any], str]) -> CellColumn:
    return CellColumn(header, lambda cell: form(getattr(cell, field)))


def _narrow(label: str) -> str:
    """A label that may break where forms of an attack, or its steps and restarts, meet."""
    return label.replace("/", "/\n").replace("-50x", "-50\nx").replace("square-autoattack", "square\n(AA)")


def _escape_rich(text: str) -> str:
    return text.replace("[", r"\[")
