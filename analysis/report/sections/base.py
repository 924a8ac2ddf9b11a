"""The parts of a section of the report: text, pictures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from analysis.report.figures.style import PANEL, Draw, compose, inline_svg
from analysis.report.tables.text_table import TextTable


@dataclass(frozen=True)
class Picture:
    """An inline SVG with its caption."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class Section:
    """A titled part of the report. The text of a section without pictures and tables says why it has none."""

    anchor: str
    title: str
    text: str
    pictures: Sequence[Picture] = ()
    tables: Sequence[TextTable] = ()
    note: str = ""
    pairs: bool = False
    """Whether the pictures belong together in pairs, which stand beside each other."""


def picture(draw: Draw, description: str, caption: str = "", height: float = PANEL[1]) -> Picture:
    """One panel drawn for the page, `height` inches high.

    Screen readers read `description`; `caption` is printed under the panel.
    """
    # inline_svg escapes what is untrusted in it
    return Picture(Markup(inline_svg(compose([draw], panel=(PANEL[0], height)), description)), caption)
