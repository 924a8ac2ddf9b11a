"""Rates over the threshold of a label: a line for each cell, and the mean over cells with its band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import SubFigure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from analysis.questions.threshold_curves import CellValues, Profile
from analysis.report.figures.style import INK, MUTED, SERIES, Draw


def threshold_curves(
    cells: Sequence[CellValues], names: Mapping[str, str], mean: Profile, chosen: float, axis: str, *, log: bool = False
) -> Draw:
    """The share of trials at or above a threshold.

    Cells beyond the number of line styles are drawn alike. The protocol's threshold is a vertical line.
    """

    def draw(figure: SubFigure) -> None:
        ax = figure.subplots()
        for number, cell in enumerate(cells):
            shares = [cell.share(threshold) for threshold in mean.thresholds]
            if len(cells) > len(SERIES):
                ax.plot(mean.thresholds, shares, color=MUTED, linewidth=0.7, alpha=0.6)
            else:
                look = SERIES[number]
                label = names.get(cell.cell_id, cell.cell_id)
                ax.plot(mean.thresholds, shares, color=look.colour, linestyle=look.dash, label=label)
        if len(cells) > 1:
            ax.fill_between(mean.thresholds, mean.low, mean.high, color=INK, alpha=0.15, linewidth=0)
            ax.plot(mean.thresholds, mean.mean, color=INK, linewidth=2, label=f"mean of {len(cells)} cells")
        ax.axvline(chosen, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        if log:
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_ylim(-0.02, 1.02)
        ax.set_xlabel(axis)
        ax.set_ylabel("share of trials at or above")
        ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        if len(cells) > 1:
            figure.legend(loc="outside lower center", ncols=2)

    return draw


def grid(cells: Sequence[CellValues], chosen: float, *, log: bool = False) -> np.ndarray:
    """Thresholds around the protocol's one, which is among them: 81 even steps, or steps of equal ratio."""
    if log:
        return chosen * np.geomspace(1 / 16, 16, 81)
    largest = max(2 * chosen, *(float(cell.values[-1]) for cell in cells))
    return np.unique(np.append(np.linspace(0, largest, 80), chosen))
