"""The probability of an onset by epoch: one panel for each row of the heat map, one line for each column."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.transforms import ScaledTranslation

from analysis.questions.onset import CellSurvival
from analysis.report.facets import Facet, facets
from analysis.report.figures.style import SERIES, Draw
from core.config.naming import describe

BAR_DISTANCE = 4 / 72
"""Inches between the interval bars at the ends of curves."""


def onset_panels(cells: Sequence[CellSurvival]) -> list[Draw]:
    """Kaplan-Meier estimates of P(onset by the end of epoch t), with the pointwise interval at the end of each curve.

    A panel with a single curve shows the interval as a band over all epochs.
    """
    return [_panel(facet, row) for facet in facets(cells) for row in range(len(facet.rows))]


def _panel(facet: Facet[CellSurvival], row: int) -> Draw:
    cells = {column: facet.cells[row, column] for column in range(len(facet.columns)) if (row, column) in facet.cells}
    fixed = facet.fixed | ({facet.row_factor: facet.rows[row]} if facet.row_factor else {})

    def draw(figure: SubFigure) -> None:
        ax = figure.subplots()
        for (column, cell), look in zip(cells.items(), cycle(SERIES), strict=False):
            epochs = np.unique([0, *cell.curve.epochs, cell.curve.last_seen])
            found = [cell.probability_by(int(epoch)) for epoch in epochs]
            name = describe({facet.column_factor: facet.columns[column]}) if facet.column_factor else "all"
            ax.plot(
                epochs,
                [np.nan if estimate is None else estimate for estimate, _ in found],
                drawstyle="steps-post",
                color=look.colour,
                linestyle=look.dash,
                marker=look.marker,
                markersize=3.5,
                markevery=max(1, len(epochs) // 4),
                label=f"{name} ({cell.events}/{cell.trials})",
            )
            intervals = [interval for _, interval in found]
            if len(cells) == 1:
                low, high = [i.low for i in intervals], [i.high for i in intervals]
                ax.fill_between(epochs, low, high, step="post", color=look.colour, alpha=0.15, linewidth=0)
            else:  # bands would hide each other
                beside = ScaledTranslation(BAR_DISTANCE * (column + 1), 0, figure.dpi_scale_trans)
                ax.plot(
                    [cell.curve.last_seen] * 2,
                    [intervals[-1].low, intervals[-1].high],
                    color=look.colour,
                    marker="_",
                    markersize=5,
                    transform=ax.transData + beside,
                    clip_on=False,
                )
        ax.set_title(describe(fixed) or "all trials")
        ax.set_xlabel("epoch")
        ax.set_ylabel("P(onset by epoch)")
        ax.set_ylim(-0.02, 1.02)
        ax.set_xlim(left=0)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        figure.legend(loc="outside lower center", ncols=2)

    return draw
