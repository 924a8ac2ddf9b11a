"""The values of a metric over the epochs of a trial, and the marks of its onsets and recoveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from analysis.report.figures.style import INK
from core.records import TrialRecord

MARK_LEVELS = 3
"""Number of heights at which labels of successive marks alternate, because marks may be close to each other."""


class Series(NamedTuple):
    """A metric over epochs; `values` are NaN for epochs without the metric."""

    epochs: np.ndarray
    values: np.ndarray

    @property
    def empty(self) -> bool:
        """Whether no epoch has a finite value."""
        return not np.isfinite(self.values).any()


def series(record: TrialRecord, metric: str) -> Series:
    """The values of `metric` by epoch."""
    return Series(record.trace.column("epoch"), record.trace.column(metric))


def has(record: TrialRecord, *metrics: str) -> bool:
    """Whether the trace has at least one finite value of each of `metrics`."""
    return all(np.isfinite(record.trace.column(metric)).any() for metric in metrics)


def pgd_name(record: TrialRecord) -> str:
    """The validation attack of the trial's protocol: ``PGD-10`` with 10 steps."""
    return f"PGD-{record.protocol['eval_steps']}"


def mark_events(axes: Sequence[Axes], record: TrialRecord) -> None:
    """Draw vertical lines at the onsets (dashed) and recoveries (dotted) of `record`, with labels on the first axes."""
    if record.verdict is None:
        return
    marks = [(e, "onset", "dashed") for e in record.verdict.onset_epochs]
    marks += [(e, "recovery", "dotted") for e in record.verdict.recovery_epochs]
    left, right = axes[0].get_xlim()
    for index, (epoch, name, dash) in enumerate(sorted(marks)):
        for ax in axes:
            ax.axvline(epoch, color=INK, linestyle=dash, linewidth=0.9)
        axes[0].annotate(
            f" {name} {epoch} ",
            (epoch, 1 - 0.12 * (index % MARK_LEVELS)),
            xycoords=("data", "axes fraction"),
            va="top",
            ha="left" if epoch < (left + right) / 2 else "right",
            fontsize=7.5,
        )
