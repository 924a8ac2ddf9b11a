"""A section of the report for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TerminalTable


def section_for_terminal(section: Section) -> Iterator[RenderableType]:
    """The title, the text and the tables of a section, without its pictures."""
    yield Text(section.title, style="bold")
    yield Text(section.text)
    for table in section.tables:
        yield TerminalTable(table)
    if section.note:
        yield Text(section.note)
