"""The cells of a running sweep, for a terminal of any height, a log, and the sweep's page in MLflow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from rich.box import SIMPLE_HEAD
from rich.table import Table

from analysis.questions.cell_progress import CellProgress
from analysis.report.facets import distinct_factors
from analysis.report.formatting import NOTHING, format_ends
from analysis.report.tables.text_table import TextTable, markdown_table
from core.config.naming import format_value

FRAME_ROWS = 2
"""Lines of the header: the names of the columns and a rule."""


@dataclass(frozen=True)
class ProgressTable:
    """The progress of all cells of a sweep as a table, whole or in pages."""

    cells: Sequence[CellProgress]

    @property
    def height(self) -> int:
        """Number of lines of the whole table."""
        return len(self.cells) + FRAME_ROWS

    def pages(self, rows: int) -> int:
        """Number of pages of ``rows`` lines that the table takes."""
        return -(-len(self.cells) // max(1, rows - FRAME_ROWS)) if self.cells else 1

    def page(self, rows: int, number: int = 0) -> Table:
        """Page ``number`` of the table, at most ``rows`` lines high, for a terminal of at least 80 columns.

        Pages are counted from 0; a number beyond the last page starts again at the first.
        """
        size = max(1, rows - FRAME_ROWS)
        first = number % self.pages(rows) * size
        return self._table(self.cells[first : first + size])

    def whole(self) -> Table:
        """The whole table."""
        return self._table(self.cells)

    def markdown(self) -> str:
        """The whole table in GitHub's Markdown."""
        header = [header for header, _ in self._columns]
        rows = [[text(cell) for _, text in self._columns] for cell in self.cells]
        return markdown_table(TextTable(header, rows, len(self._factors)))

    def _table(self, cells: Sequence[CellProgress]) -> Table:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
        for index, (header, _) in enumerate(self._columns):
            factor = index < len(self._factors)
            table.add_column(header, justify="left" if factor else "right", no_wrap=True, overflow="ellipsis")
        for cell in cells:
            table.add_row(*(text(cell).replace("[", r"\[") for _, text in self._columns))
        return table

    @cached_property
    def _factors(self) -> list[str]:
        return distinct_factors(self.cells) or ["cell"]

    @cached_property
    def _columns(self) -> list[tuple[str, Callable[[CellProgress], str]]]:
        level = f"{100 * self.cells[0].interval.level:g} %" if self.cells else ""
        return [
            *((name, _factor(name)) for name in self._factors),
            ("done", lambda cell: str(cell.done)),
            ("runs", lambda cell: _count(cell.running)),
            ("waits", lambda cell: "as needed" if cell.pending is None else _count(cell.pending)),
            ("cens.", lambda cell: _count(cell.censored)),
            ("unst.", lambda cell: f"{cell.unstable}/{cell.counted}"),
            (f"rate, {level}", _rate),
            ("dev-h", lambda cell: f"{cell.device_seconds / 3600:.2f}"),
        ]


def _factor(name: str) -> Callable[[CellProgress], str]:
    def text(cell: CellProgress) -> str:
        return format_value(cell.factors[name]) if cell.factors else cell.setting

    return text


def _count(number: int) -> str:
    return str(number) if number else NOTHING


def _rate(cell: CellProgress) -> str:
    if cell.rate is None:
        return NOTHING
    return f"{100 * cell.rate:.0f} [{format_ends(cell.interval)}]"
