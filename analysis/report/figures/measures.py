"""Figures of measures: distributions over images, weight and input landscapes, calibration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from analysis.questions.rates import outcome
from analysis.report.figures.style import INK, LOOKS, MUTED, Draw, wrapped
from analysis.report.figures.trajectories import DRAWING_ORDER
from core.records import CheckpointName, Measured, TrialRecord

Found = tuple[TrialRecord, Measured]
"""A trial and its measure."""
MIN_IMAGES_PER_BIN = 10
"""Number of images from which on the accuracy of a bin of confidence is drawn. Of fewer it is mostly noise."""


def with_measure(records: Sequence[TrialRecord], checkpoint: CheckpointName, measure: str) -> list[Found]:
    """The trials that have the measure, in the order in which their lines are drawn."""
    found = [(r, m) for r in records if (m := r.measured(checkpoint, measure)) is not None]
    return sorted(found, key=lambda entry: DRAWING_ORDER.index(outcome(entry[0])))


def array(measured: Measured, name: str) -> np.ndarray:
    """An array of a measure; NaN for a value that is not finite."""
    return np.array([np.nan if value is None else value for value in measured.arrays[name]], float)


def distribution(
    found: Sequence[Found],
    title: str,
    axis: str,
    name: str = "percentiles",
    lines: Sequence[tuple[float, str]] = (),
    log: bool = False,
) -> Draw:
    """The share of images up to each value, one line per trial, from the stored percentiles.

    Args:
        found: trials and measures of `with_measure`.
        title: title of the panel.
        axis: name of the value.
        name: the array with the percentiles.
        lines: values with a vertical line, and the name of each.
        log: whether the axis of the value is logarithmic.
    """

    def draw(figure: SubFigure) -> None:
        ax = figure.subplots()
        for record, measured in found:
            values = array(measured, name)
            look = LOOKS[outcome(record)]
            ax.plot(values, np.linspace(0, 1, len(values)), color=look.colour, linestyle=look.dash, linewidth=1.1)
        for index, (value, text) in enumerate(lines):
            ax.axvline(value, color=INK, linewidth=0.9, linestyle="dashed")
            place = (value, 0.02 + 0.09 * index)
            ax.annotate(f" {text}", place, xycoords=("data", "axes fraction"), fontsize=7.5, va="bottom")
        if log:
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        _finish(figure, ax, found, title, axis, "share of images up to it")

    return draw


def weight_curves(found: Sequence[Found], title: str) -> Draw:
    """The loss under attack along a random direction of the weights, one line per trial."""

    def draw(figure: SubFigure) -> None:
        ax = figure.subplots()
        for record, measured in found:
            look = LOOKS[outcome(record)]
            x, y = array(measured, "offsets"), array(measured, "loss")
            ax.plot(x, y, color=look.colour, linestyle=look.dash, linewidth=1.1)
        ax.set_yscale("log")
        ax.locator_params(axis="x", nbins=5)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
        _finish(figure, ax, found, title, "offset along the direction", "loss under attack")

    return draw


def plane(measured: Measured, title: str, axes: tuple[str, str], ends: tuple[float, float]) -> Draw:
    """The mean loss over a plane as filled contours.

    Args:
        measured: a measure with square ``loss`` and its ``offsets``.
        title: title of the panel, which names the trial.
        axes: names of the first and the second direction.
        ends: least and largest loss of the scale, which panels that are compared share.
    """

    def draw(figure: SubFigure) -> None:
        ax = figure.subplots()
        offsets = array(measured, "offsets")
        loss = array(measured, "loss").reshape(len(offsets), len(offsets))
        levels = MaxNLocator(12).tick_values(*ends)
        filled = ax.contourf(offsets, offsets, loss.T, levels=levels, cmap="cividis")
        ax.contour(offsets, offsets, loss.T, levels=levels[::2], colors="white", linewidths=0.6)
        ax.plot(0, 0, marker="+", color="white", markersize=7)
        ax.set_title(wrapped(title))
        ax.set_xlabel(axes[0])
        ax.set_ylabel(axes[1])
        ax.locator_params(nbins=5)
        ax.grid(visible=False)
        figure.colorbar(filled, ax=ax, label="loss")

    return draw


def reliability(found: Sequence[Found], kind: str, title: str) -> Draw:
    """Accuracy over confidence in bins with at least `MIN_IMAGES_PER_BIN` images, one line per trial.

    The marker of a bin grows with its share of the images.
    """

    def draw(figure: SubFigure) -> None:
        ax = figure.subplots()
        for record, measured in found:
            share, sure, right = (array(measured, f"{kind}_bin_{name}") for name in ("share", "confidence", "accuracy"))
            filled = share * measured.images >= MIN_IMAGES_PER_BIN - 0.5  # shares are stored, and numbers are whole
            look = LOOKS[outcome(record)]
            ax.plot(sure[filled], right[filled], color=look.colour, linestyle=look.dash, linewidth=0.9)
            ax.scatter(sure[filled], right[filled], s=4 + 60 * share[filled], color=look.colour, marker=look.marker)
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        ax.set_xlim(-0.02, 1.02)
        ax.set_ylim(-0.02, 1.02)
        _finish(figure, ax, found, title, "confidence", "accuracy")

    return draw


def _finish(figure: SubFigure, ax: Axes, found: Sequence[Found], title: str, across: str, up: str) -> None:
    ax.set_title(wrapped(title))
    ax.set_xlabel(across)
    ax.set_ylabel(up)
    kinds = [kind for kind in DRAWING_ORDER if any(outcome(record) == kind for record, _ in found)]
    handles = [Line2D([], [], color=LOOKS[kind].colour, linestyle=LOOKS[kind].dash) for kind in kinds]
    counts = [sum(outcome(record) == kind for record, _ in found) for kind in kinds]
    labels = [f"{kind} ({count})" for kind, count in zip(kinds, counts, strict=True)]
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
