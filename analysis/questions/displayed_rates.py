"""The rates that tables show. A rate at the end of training is corrected where trials can be stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from analysis.questions.rates import CellRate, Label, cell_rates
from analysis.questions.stoppable_trials import can_be_stopped
from analysis.statistics.intervals import IntervalKind
from core.allocation import SequentialDesign
from core.records import TrialRecord

if TYPE_CHECKING:
    from analysis.questions.early_stopping_bias import CorrectedRate


def displayed_rates(
    records: Sequence[TrialRecord],
    label: Label = "any",
    level: float = 0.95,
    interval: IntervalKind = "blaker",
    design: SequentialDesign | None = None,
) -> list[CellRate]:
    """The rates of `cell_rates`, with the label *any* corrected by `corrected_rates` in cells that stop trials.

    Arguments and errors are those of `cell_rates`.
    """
    cells = cell_rates(records, label, level, interval, design)
    stopping = {record.cell_id for record in records if can_be_stopped(record)}
    if label != "any" or not stopping:
        return cells
    # scipy, which this module imports, takes a second that `status.py` needs only with trials to correct
    from analysis.questions.early_stopping_bias import corrected_rates

    corrected = corrected_rates(records, level, "anytime" if interval in ("anytime", "sequential") else "melded")
    return [
        _corrected(cell, found) if cell.cell_id in stopping else cell
        for cell, found in zip(cells, corrected, strict=True)
    ]


def _corrected(cell: CellRate, found: CorrectedRate) -> CellRate:
    # a stopped trial was unstable when it was stopped, and cell_rates counts it as such
    return replace(
        cell, unstable=cell.unstable - cell.stopped, unknown=cell.stopped, rate=found.rate, interval=found.interval
    )
