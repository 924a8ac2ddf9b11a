"""Gradient norms of single batches around an onset: the paper's Figure 4."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from analysis.report.figures.style import INK, SERIES, Draw, Look, wrapped
from core.records import TrialRecord

MAX_MARKED_STEPS = 60
"""Largest number of measured steps that get markers; with more, markers would hide the lines."""
NORMS = {"w_norm": "full loss", "kl_norm": "KL term", "ce_norm": "CE term"}
"""Labels of the norms by their names in a record."""


def batch_gradients(record: TrialRecord, name: str, *, epochs_around: int = 1) -> Draw:
    """Gradient norms of the full loss and its terms, and the cosine between successive gradients, by training step.

    Args:
        record: a trial with batch-level gradients.
        name: name of the trial.
        epochs_around: number of epochs before and after that of the onset; without an onset all steps are shown.
    """

    def draw(figure: SubFigure) -> None:
        onset = record.verdict.onset_epoch if record.verdict else None
        rows = [r for r in record.gradients if onset is None or abs((r["epoch"] or 0) - onset) <= epochs_around]
        rows = rows or list(record.gradients)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        size = 3.5 if len(rows) <= MAX_MARKED_STEPS else 0
        for (norm, label), look in zip(NORMS.items(), SERIES, strict=False):
            _steps(top, rows, norm, look, size, label)
        _steps(bottom, rows, "cosine", SERIES[3], size)
        if onset is not None:
            starts = [r["step"] for r in rows if r["epoch"] == onset and r["step"] is not None]
            for ax in (top, bottom) if starts else ():
                ax.axvline(min(starts), color=INK, linestyle="dashed", linewidth=0.9)
            if starts:
                top.annotate(
                    f" epoch {onset}: onset",
                    (min(starts), 1),
                    xycoords=("data", "axes fraction"),
                    va="top",
                    fontsize=7.5,
                )
        top.set_title(wrapped(f"Batches: {name}"))
        top.set_ylabel("gradient norm")
        top.set_ylim(bottom=0)
        bottom.set_ylabel("cosine")
        bottom.set_ylim(-1.05, 1.05)
        bottom.set_xlabel("training step")
        bottom.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        figure.legend(*top.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        figure.align_ylabels([top, bottom])

    return draw


def _steps(
    ax: Axes, rows: list[dict[str, float | None]], name: str, look: Look, marker_size: float, label: str = ""
) -> None:
    ax.plot(
        _column(rows, "step"),
        _column(rows, name),
        color=look.colour,
        linestyle=look.dash if label else "solid",
        linewidth=1.1,
        marker=look.marker,
        markersize=marker_size,
        label=label,
    )


def _column(rows: list[dict[str, float | None]], name: str) -> np.ndarray:
    values = [row.get(name) for row in rows]
    return np.array([np.nan if value is None else value for value in values], dtype=float)
