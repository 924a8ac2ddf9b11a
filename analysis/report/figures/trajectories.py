"""All trials of a sweep over their epochs, in the colours of their outcomes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from analysis.questions.rates import outcome
from analysis.report.figures.series import Series, has, pgd_name, series
from analysis.report.figures.style import INK, LOOKS, Draw
from core.records import TrialRecord

VECTOR_LINES = 24
"""Largest number of lines that are drawn as vectors; more are one raster picture, which keeps the page small."""

DRAWN_TRIALS = 150
"""Largest number of trials of one outcome that are drawn: more lines cannot be told apart, and take minutes."""

DRAWING_ORDER = ("running", "censored", "stable", "healed", "unstable")
"""Outcomes from the bottom layer to the top layer."""

METRICS = {
    "val/fosc": "FOSC (validation)",
    "val/sgcs": "SGCS (validation)",
    "val/pgd10_acc": "{pgd} accuracy (validation)",
    "val/fgsm_acc": "FGSM accuracy (validation)",
    "val/linearity_error": "linearity error (validation)",
    "val/boundary_distortion": "boundary distortion (validation)",
    "train/gap": "clean − adversarial accuracy (training)",
}
"""Metrics of the figures with their titles."""

ALIGNED_BEFORE, ALIGNED_AFTER = 15, 10
"""Numbers of epochs shown before and after an onset."""


def metric_name(metric: str, records: Sequence[TrialRecord]) -> str:
    """The title of a metric, with the validation attack as it was run: ``PGD-10 accuracy (validation)``."""
    return METRICS[metric].format(pgd="/".join(dict.fromkeys(map(pgd_name, records))))


def trajectories(records: Sequence[TrialRecord], metric: str) -> Draw:
    """The metric of every trial over its epochs, with a marker at each onset."""

    def draw(figure: SubFigure) -> None:
        ax = figure.subplots()
        groups: dict[str, list[TrialRecord]] = {name: [] for name in DRAWING_ORDER}
        for record in records:
            if has(record, metric):
                groups[outcome(record)].append(record)
        count = sum(min(len(found), DRAWN_TRIALS) for found in groups.values())
        as_picture = count > VECTOR_LINES
        handles, labels = [], []
        for name, found in groups.items():
            look = LOOKS[name]
            drawn = found[:: -(-len(found) // DRAWN_TRIALS) or 1]
            lines = [series(record, metric) for record in drawn]
            ax.add_collection(
                LineCollection(
                    [np.column_stack(line) for line in lines],
                    colors=look.colour,
                    linewidths=0.7,
                    alpha=_alpha(count),
                    rasterized=as_picture,
                )
            )
            onsets = np.array([point for r, line in zip(drawn, lines, strict=True) for point in _onsets(r, line)])
            if len(onsets):
                x, y = onsets.T
                ax.scatter(x, y, s=12, marker=look.marker, color=look.colour, rasterized=as_picture, zorder=3)
            if found:
                onset = any(r.verdict and r.verdict.onset for r in found)
                handles.append(Line2D([], [], color=look.colour, marker=look.marker if onset else "none", markersize=4))
                labels.append(f"{name} ({len(found)}" + (f", {len(drawn)} drawn)" if len(drawn) < len(found) else ")"))
        ax.autoscale_view()
        _label(ax, records, metric)
        ax.set_xlabel("epoch (marker: onset)" if any(r.verdict and r.verdict.onset for r in records) else "epoch")
        figure.legend(handles, labels, loc="outside lower center", ncols=3)

    return draw


def aligned(records: Sequence[TrialRecord], metric: str) -> Draw:
    """Median and quartiles of a metric by the number of epochs from the onset, over all trials with onset and metric.

    Some methods do not have every metric; at least one trial with an onset must have it.
    """

    def draw(figure: SubFigure) -> None:
        ax = figure.subplots()
        offsets = np.arange(-ALIGNED_BEFORE, ALIGNED_AFTER + 1)
        found = [r for r in records if r.verdict and r.verdict.onset and has(r, metric)]
        table = np.array([_around_onset(r, metric) for r in found])
        enough = np.isfinite(table).sum(axis=0) >= max(1, len(table) / 2)
        low, middle, high = np.nanquantile(table[:, enough], (0.25, 0.5, 0.75), axis=0)
        look = LOOKS["unstable"]
        ax.fill_between(offsets[enough], low, high, color=look.colour, alpha=0.25, linewidth=0)
        ax.plot(offsets[enough], middle, color=look.colour, marker=look.marker, markersize=3.5)
        ax.axvline(0, color=INK, linewidth=0.9, linestyle="dashed")
        _label(ax, records, metric)
        ax.set_xlabel(f"epochs from onset ({len(table)} trials)")

    return draw


def _onsets(record: TrialRecord, line: Series) -> list[tuple[float, float]]:
    epochs = record.verdict.onset_epochs if record.verdict else ()
    return [(epoch, value) for epoch, value in zip(*line, strict=True) if epoch in epochs] if epochs else []


def _alpha(lines: int) -> float:
    return max(0.15, min(0.8, 16 / max(lines, 1)))


def _label(ax: Axes, records: Sequence[TrialRecord], metric: str) -> None:
    if metric == "val/fosc":
        ax.set_yscale("log")
        low, high = ax.get_ylim()
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 50 else (1,)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
        for threshold in {record.protocol["fosc_threshold"] for record in records}:
            ax.axhline(threshold, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    ax.set_title(metric_name(metric, records))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _around_onset(record: TrialRecord, metric: str) -> np.ndarray:
    around = np.full(ALIGNED_BEFORE + ALIGNED_AFTER + 1, np.nan)
    line = series(record, metric)
    onset = record.verdict.onset_epoch if record.verdict else None
    positions = line.epochs.astype(int) - (onset or 0) + ALIGNED_BEFORE
    inside = (positions >= 0) & (positions < len(around))
    around[positions[inside]] = line.values[inside]
    return around
