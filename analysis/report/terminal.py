"""A section of the page for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from analysis.report.sections.base import Grid, Section


def section_for_terminal(section: Section) -> Iterator[RenderableType]:
    """The section's title, text and tables, without its pictures."""
    yield Text(section.title, style="bold")
    yield Text(section.text)
    for grid in section.grids:
        yield _Fitting(grid)
    if section.note:
        yield Text(section.note)


class _Fitting:
    """A table in the first of several forms that is not too wide: deviations on lines of their own, words folded."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        forms = [_table(self.grid, str, True), _table(self.grid, _folded, True), _table(self.grid, _folded, False)]
        unlimited = options.update_width(10_000)
        fitting = (form for form in forms if Measurement.get(console, unlimited, form).maximum <= options.max_width)
        yield next(fitting, forms[-1])


def _folded(text: str) -> str:
    return text.replace(" ± ", "\n± ")


def _table(grid: Grid, fold: Callable[[str], str], whole_words: bool) -> Table:
    table = Table(
        box=SIMPLE_HEAD, caption=Text(grid.caption), caption_justify="left", pad_edge=False, padding=(0, 1, 0, 0)
    )
    for index, name in enumerate(grid.header):
        longest = max(map(len, name.split()), default=0) if whole_words else None
        justify: JustifyMethod = "left" if index < grid.words else "right"
        table.add_column(Text(name), justify=justify, overflow="fold", min_width=longest)
    for row in grid.rows:
        table.add_row(*(Text(fold(text)) for text in row))
    return table
