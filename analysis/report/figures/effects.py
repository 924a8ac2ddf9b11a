"""The forest plot of effects on the odds of the label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import SubFigure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.questions.effects import Effect
from analysis.report.figures.style import INK, SERIES, Draw

LIMITS = (1e-3, 1e3)
"""Range of the axis; an interval beyond it ends in an arrow."""


def forest(effects: Sequence[Effect]) -> Draw:
    """Odds ratio of each effect with its interval, on a log axis; a separated effect has only an interval."""

    def draw(figure: SubFigure) -> None:
        ax = figure.subplots()
        rows = np.arange(len(effects))[::-1]
        look = SERIES[0]
        for row, effect in zip(rows, effects, strict=True):
            low, middle, high = np.clip((effect.low, effect.odds_ratio, effect.high), *LIMITS)
            ax.plot([low, high], [row, row], color=look.colour, linewidth=1.6)
            for end, beyond, arrow in ((low, effect.low < LIMITS[0], "<"), (high, effect.high > LIMITS[1], ">")):
                ax.plot(end, row, marker=arrow if beyond else "|", color=look.colour, markersize=6)
            if not effect.separated:
                ax.plot(middle, row, marker="o", markersize=6, color=look.colour)
        ax.axvline(1, color=INK, linewidth=0.9, linestyle="dashed")
        ax.set_xscale("log")
        ends = [np.clip(v, *LIMITS) for e in effects for v in (e.low, e.high, 1.0)]
        ax.set_xlim(min(ends) / 1.5, max(ends) * 1.5)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(ends) / min(ends) < 50 else (1,)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_yticks(rows, [f"{effect.factor}\n{effect.contrast}" for effect in effects])
        ax.set_ylim(-0.6, len(effects) - 0.4)
        ax.set_xlabel("odds ratio (above 1: more unstable)")

    return draw
