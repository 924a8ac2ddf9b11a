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
    """Odds ratio of each effect with its interval, on a log axis; a separated effect has an arrow from its bound."""

    def draw(figure: SubFigure) -> None:
        ax = figure.subplots()
        rows = np.arange(len(effects))[::-1]
        look = SERIES[0]
        shown = [np.clip(_ends(effect), *LIMITS) for effect in effects]
        left, right = min(*map(min, shown), 1.0) / 1.5, max(*map(max, shown), 1.0) * 1.5
        for row, effect, (low, high) in zip(rows, effects, shown, strict=True):
            if effect.separated:
                bound, edge = (low, right) if effect.odds_ratio > 1 else (high, left)
                ax.plot([bound, edge], [row, row], color=look.colour, linewidth=1.6)
                ax.plot(bound, row, marker="|", color=look.colour, markersize=6)
                arrow = ">" if effect.odds_ratio > 1 else "<"
                ax.plot(edge, row, marker=arrow, color=look.colour, markersize=6, clip_on=False)
                continue
            ax.plot([low, high], [row, row], color=look.colour, linewidth=1.6)
            for end, beyond, arrow in ((low, effect.low < LIMITS[0], "<"), (high, effect.high > LIMITS[1], ">")):
                ax.plot(end, row, marker=arrow if beyond else "|", color=look.colour, markersize=6)
            ax.plot(np.clip(effect.odds_ratio, *LIMITS), row, marker="o", markersize=6, color=look.colour)
        ax.axvline(1, color=INK, linewidth=0.9, linestyle="dashed")
        ax.set_xscale("log")
        ax.set_xlim(left, right)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if right / left < 50 else (1,)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_yticks(rows, [f"{effect.factor}\n{effect.contrast}" for effect in effects])
        ax.set_ylim(-0.6, len(effects) - 0.4)
        ax.set_xlabel("odds ratio (above 1: more unstable)")

    return draw


def _ends(effect: Effect) -> tuple[float, float]:
    """The ends of the interval that the data give: the bound of a separated effect, and room for its arrow."""
    if not effect.separated:
        return effect.low, effect.high
    return (effect.low, 4 * effect.low) if effect.odds_ratio > 1 else (effect.high / 4, effect.high)
