"""The style of all figures: Okabe-Ito colours, each with its own line style and marker, and text as text."""

from __future__ import annotations

import base64
import io
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure, SubFigure
from PIL import Image

Draw = Callable[[SubFigure], None]
"""A function that draws one panel."""

PANEL = (4.3, 3.0)
"""Width and height of a panel in inches: legible on a phone at full width, three in a row on a desktop."""

INK, MUTED, GRID = "#22262b", "#6a7079", "#dfe2e6"


@dataclass(frozen=True)
class Look:
    """The look of one kind of line; colour, dashes or marker alone distinguish it from the others."""

    colour: str
    dash: Any
    marker: str


# Okabe & Ito (2008), https://jfly.uni-koeln.de/color/: distinct under all common colour-vision deficiencies
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"

LOOKS = {
    "stable": Look(BLUE, "solid", "o"),
    "unstable": Look(VERMILION, (0, (4, 1.5)), "^"),
    "healed": Look(GREEN, (0, (5, 1.5, 1, 1.5)), "s"),
    "censored": Look(MUTED, (0, (1, 1.5)), "x"),
    "running": Look(MUTED, (0, (2, 1)), "x"),
}
SERIES = (
    Look(BLUE, "solid", "o"),
    Look(VERMILION, (0, (4, 1.5)), "^"),
    Look(GREEN, (0, (5, 1.5, 1, 1.5)), "s"),
    Look(PURPLE, (0, (1, 1.2)), "D"),
    Look(ORANGE, (0, (6, 2)), "v"),
    Look(SKY, (0, (3, 1, 1, 1, 1, 1)), "P"),
)

RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.titlecolor": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "figure.dpi": 100,
    "text.parse_math": False,  # names are untrusted: a lone $ in one must not be TeX
    "svg.fonttype": "none",
    "svg.hashsalt": "unmask",
}

PALETTE_LIGHT = {
    "ink": INK,
    "muted": MUTED,
    "grid": GRID,
    "blue": BLUE,
    "vermilion": VERMILION,
    "green": GREEN,
    "purple": PURPLE,
    "orange": ORANGE,
    "sky": SKY,
}
"""The colours of the page on a light background."""

PALETTE_DARK = {
    "ink": "#e8eaed",
    "muted": "#9aa1ab",
    "grid": "#3a4048",
    "blue": "#4fa8e0",
    "vermilion": "#ff8b47",
    "green": "#35c59a",
    "purple": "#dd97bd",
    "orange": "#f0b93a",
    "sky": "#8fd0f5",
}
"""The colours of the page on a dark background."""

TITLE_CHARACTERS = 50
"""Number of characters of a title that fit above a panel."""


def wrapped(title: str) -> str:
    """The title of a panel, with line breaks."""
    return "\n".join(textwrap.wrap(title, TITLE_CHARACTERS))


_CSS_NAME = {colour: name for name, colour in PALETTE_LIGHT.items()}


def compose(draws: Sequence[Draw], *, columns: int = 1, panel: tuple[float, float] = PANEL) -> Figure:
    """One figure with a panel for each element of `draws`, row by row; `panel` is the size of a panel in inches."""
    rows = -(-len(draws) // columns)
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(panel[0] * columns, panel[1] * rows), layout="constrained")
        grid = figure.subfigures(rows, columns, squeeze=False)
        for subfigure, draw in zip(grid.flat, draws, strict=False):
            draw(subfigure)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write `figure` to `path` (.svg, .pdf or .png) on white. The same data give the same bytes."""
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with matplotlib.rc_context(RC):
        figure.savefig(path, dpi=200, metadata=undated.get(path.suffix), facecolor="white")
    return path


def inline_svg(figure: Figure, description: str) -> str:
    """`figure` as an ``<svg>`` element for an HTML page. Its colours are variables of the page and follow its theme.

    Args:
        figure: figure from `compose`.
        description: plain text for screen readers.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context(RC):
        # with a layout engine, savefig would paint everything a second time only to lay out the figure
        if layout := figure.get_layout_engine():
            layout.execute(figure)
        figure.set_layout_engine(None)
        figure.savefig(buffer, format="svg", dpi=144, transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(?<=data:image/png;base64,)[^\"]*", _fewer_colours, svg)
    svg = re.sub(r"<[^>]*>", _lean_tag, svg)
    svg = re.sub(r">\s+<", "><", svg)
    head = re.compile(r"<svg [^>]*?viewBox=\"([^\"]*)\"[^>]*>")
    return head.sub(lambda m: f'<svg viewBox="{m[1]}" role="img"><title>{escape(description)}</title>', svg, count=1)


def _fewer_colours(match: re.Match[str]) -> str:
    """The base64 text of a picture with 64 colours: a fifth of the bytes, and thin lines look the same."""
    picture = Image.open(io.BytesIO(base64.b64decode(match[0])))
    buffer = io.BytesIO()
    picture.quantize(64, method=Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _lean_tag(match: re.Match[str]) -> str:
    tag = re.sub(r' id="[\w.]+_[^"]*"', "", match[0])  # names of groups, which nothing refers to
    tag = re.sub(r' xmlns(:xlink)?="[^"]*"', "", tag)
    tag = re.sub(r'(?<=[\s"(])(-?\d+\.\d{2})\d+', r"\1", tag).replace(" \n", " ")
    tag = re.sub(r"font-family: [^;\"]*; ?", "", tag)  # the page sets its own font
    return re.sub(r"#[0-9a-f]{6}", lambda m: f"var(--{_CSS_NAME[m[0]]})" if m[0] in _CSS_NAME else m[0], tag)
