"""The values of a metric over the epochs of a trial, and the marks of its onsets and recoveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D

from analysis.report.figures.style import INK
from core.records import TrialRecord

MAX_LISTED = 5
"""Largest number of epochs that a legend lists."""


class Series(NamedTuple):
    """A metric over epochs; `values` are NaN for epochs without the metric."""

    epochs: np.ndarray
    values: np.ndarray


def series(record: TrialRecord, metric: str) -> Series:
    """The values of `metric` by epoch."""
    return Series(record.trace.column("epoch"), record.trace.column(metric))


def has(record: TrialRecord, *metrics: str) -> bool:
    """Whether the trace has at least one finite value of each of `metrics`."""
    return all(bool(np.isfinite(record.trace.column(metric)).any()) for metric in metrics)


def pgd_name(record: TrialRecord) -> str:
    """The validation attack of the trial's protocol: ``PGD-10`` with 10 steps."""
    return f"PGD-{record.protocol['eval_steps']}"


def mark_events(figure: SubFigure, axes: Sequence[Axes], record: TrialRecord) -> None:
    """Draw vertical lines at the onsets (dashed) and recoveries (dotted) of `record`, and list their epochs below."""
    if record.verdict is None:
        return
    marks: list[tuple[str, tuple[int, ...], Literal["dashed", "dotted"]]] = [
        ("onset", record.verdict.onset_epochs, "dashed"),
        ("recovery", record.verdict.recovery_epochs, "dotted"),
    ]
    handles = []
    for name, epochs, dash in marks:
        for epoch in epochs:
            for ax in axes:
                ax.axvline(epoch, color=INK, linestyle=dash, linewidth=0.9)
        if epochs:
            listed = ", ".join(map(str, epochs[:MAX_LISTED])) + (", ..." if len(epochs) > MAX_LISTED else "")
            label = f"{name}: epoch{'s' * (len(epochs) > 1)} {listed}"
            handles.append(Line2D([], [], color=INK, linestyle=dash, linewidth=0.9, label=label))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
