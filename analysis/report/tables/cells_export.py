"""The main table of a sweep as Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from analysis.questions.rates import CellRate
from analysis.report.options import TableFormat
from analysis.report.tables.cells_table import (
    ACCURACIES,
    SOFT_HYPHEN,
    CellColumn,
    factor_count,
    table_caption,
    table_columns,
)
from analysis.report.tables.text_table import TextTable, markdown_table

AUTOATTACK_FIELDS = (
    *("autoattack_trials", "autoattack_accuracy", "autoattack_accuracy_sd"),
    *("autoattack_gap", "autoattack_gap_sd"),
)


def render(cells: Sequence[CellRate], form: TableFormat) -> str:
    """The table as text in the format `form`.

    Raises:
        ValueError: `form` is not a `TableFormat`.
    """
    renderers = {"csv": to_csv, "latex": to_latex, "markdown": to_markdown}
    if form not in renderers:
        raise ValueError(f"format {form!r} must be one of {', '.join(renderers)}")
    return renderers[form](cells)


def to_markdown(cells: Sequence[CellRate]) -> str:
    """The table in GitHub's Markdown."""
    columns = table_columns(cells)
    rows = [[column.text(cell) for column in columns] for cell in cells]
    return markdown_table(TextTable(list(map(_header, columns)), rows, factor_count(cells), table_caption(cells)))


def to_latex(cells: Sequence[CellRate]) -> str:
    """The table in LaTeX with the ``booktabs`` package, without a float around it."""
    columns = table_columns(cells)
    factors = factor_count(cells)
    rows = [[column.text(cell) for column in columns] for cell in cells]
    lines = [
        f"% {table_caption(cells)}",
        rf"\begin{{tabular}}{{{'l' * factors}{'r' * (len(columns) - factors)}}}",
        r"\toprule",
        " & ".join(escape_latex(_header(column)) for column in columns) + r" \\",
        r"\midrule",
        *(" & ".join(escape_latex(text) for text in row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def to_csv(cells: Sequence[CellRate]) -> str:
    """All fields of the rates, not rounded, one line for each cell; a field without a number is empty.

    The names of the columns are constant: ``pgd10_accuracy`` is the accuracy under the protocol's PGD, whatever its
    number of steps, as the key ``pgd-10`` of a record is.
    """
    names = list(cells[0].factors) if cells else []
    fields = [
        *("label", "unstable", "unknown", "trials", "rate"),
        *("interval_low", "interval_high", "interval_level", "interval_kind"),
        *("censored", "running", "healed", "stopped", *ACCURACIES.values(), "gap"),
        *("epochs_run", "epochs_saved", "device_seconds", "device_seconds_saved"),
    ]
    attacked = any(cell.autoattack_gap for cell in cells)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["cell", *names, *fields, *(AUTOATTACK_FIELDS if attacked else ())])
    for cell in cells:
        interval = cell.interval
        known = {
            "interval_low": interval.low,
            "interval_high": interval.high,
            "interval_level": interval.level,
            "interval_kind": interval.kind,
        }
        values = [known[field] if field in known else getattr(cell, field) for field in fields]
        values += _autoattack_values(cell) if attacked else []
        writer.writerow([cell.cell_id, *(_csv_value(cell.factors[name]) for name in names), *values])
    return out.getvalue()


def _autoattack_values(cell: CellRate) -> list[float | None]:
    accuracy, gap = cell.autoattack, cell.autoattack_gap
    if accuracy is None or gap is None:
        return [0, None, None, None, None]
    return [gap.trials, accuracy.mean, accuracy.deviation, gap.mean, gap.deviation]


_LATEX = {
    "\\": r"\textbackslash{}",
    **{c: "\\" + c for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    "±": r"$\pm$",
}


def escape_latex(text: str) -> str:
    """`text` with everything escaped that LaTeX would not print literally."""
    return "".join(_LATEX.get(character, character) for character in text)


def _header(column: CellColumn) -> str:
    return column.header.replace(SOFT_HYPHEN, "").replace("\n", " ")


def _csv_value(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | tuple | bool) else value
