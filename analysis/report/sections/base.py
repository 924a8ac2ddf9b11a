"""What a section of the page is made of: text, pictures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from analysis.report.figures.style import PANEL, Draw, compose, inline_svg


@dataclass(frozen=True)
class Picture:
    """An inline SVG and what it shows."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class Grid:
    """A plain table. All texts are escaped by the page."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    """How many leading columns hold words; the others hold numbers and are set flush right."""
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A titled part of the page; one without pictures and tables only says why in its text."""

    anchor: str
    title: str
    text: str
    pictures: Sequence[Picture] = ()
    grids: Sequence[Grid] = ()
    note: str = ""


def picture(draw: Draw, description: str, caption: str = "", height: float = PANEL[1]) -> Picture:
    """One panel, `height` inches high, drawn for the page; `description` is read out, `caption` is printed under it."""
    # inline_svg escapes what is untrusted in it
    return Picture(Markup(inline_svg(compose([draw], panel=(PANEL[0], height)), description)), caption)
