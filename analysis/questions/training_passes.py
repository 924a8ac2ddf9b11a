"""The passes through the network that training a cell takes, as the cell's method declares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.questions.rates import group_by_cell
from core.config import Cell, Passes
from core.config.passes import passes_per_batch
from core.records import TrialRecord


@dataclass(frozen=True)
class CellPasses:
    """The passes and the measured time of all trials of one cell, running and censored ones included."""

    cell_id: str
    per_batch: Passes | None
    """None if this version does not know the cell, for example because its plug-in is not loaded."""
    gradient_passes: float | None
    """Gradient passes of all epochs that were run, without validation and verdicts."""
    epochs_run: int
    device_seconds: float
    """Device-seconds of all trials, with set-up, validation and verdicts."""

    @property
    def seconds_per_epoch(self) -> float | None:
        """Device-seconds per epoch; None without an epoch."""
        return self.device_seconds / self.epochs_run if self.epochs_run else None


def training_passes(records: Sequence[TrialRecord]) -> list[CellPasses]:
    """One `CellPasses` for each cell, in the order of `group_by_cell`."""
    return [_cell_passes(cell_id, group) for cell_id, group in group_by_cell(records).items()]


def _cell_passes(cell_id: str, group: Sequence[TrialRecord]) -> CellPasses:
    epochs = sum(record.epochs_run for record in group)
    seconds = sum(record.device_seconds for record in group)
    try:
        cell = Cell.stored(group[0].cell, f"trial {group[0].key}")
    except ValueError:
        return CellPasses(cell_id, None, None, epochs, seconds)
    batches = epochs * cell.count_batches(cell.data.kept_images)
    passes = passes_per_batch(cell)
    return CellPasses(cell_id, passes, batches * passes.gradient_passes, epochs, seconds)
