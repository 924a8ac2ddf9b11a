"""A section of the page for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from analysis.report.sections.base import Section


def section_for_terminal(section: Section) -> Iterator[RenderableType]:
    """The section's title, text and tables, without its pictures."""
    yield Text(section.title, style="bold")
    yield Text(section.text)
    for grid in section.grids:
        table = Table(
            box=SIMPLE_HEAD, caption=Text(grid.caption), caption_justify="left", pad_edge=False, padding=(0, 1, 0, 0)
        )
        for index, name in enumerate(grid.header):
            words = index < grid.words
            table.add_column(Text(name), justify="left" if words else "right", overflow="fold", no_wrap=not words)
        for row in grid.rows:
            table.add_row(*map(Text, row))
        yield table
    if section.note:
        yield Text(section.note)
