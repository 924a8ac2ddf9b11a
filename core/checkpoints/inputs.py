"""What a sweep reads besides its data set, named exactly before training starts: weights and extra images."""

from __future__ import annotations

from core.config import Sweep
from core.ledger.starting_points import with_starting_points

FIRST = "call core.checkpoints.inputs.with_inputs before run_sweep"


def with_inputs(sweep: Sweep, storage: str, data_dir: str) -> Sweep:
    """The sweep whose cells name their initial weights and extra images by ids and checksums, which their ids contain.

    A sweep whose cells are named exactly already stays the same.

    Args:
        sweep: the sweep that was asked for.
        storage: absolute folder or URI of all sweeps.
        data_dir: absolute folder or URI of the data sets.

    Raises:
        ValueError: something is missing, unfinished, damaged, or belongs to other data or another network.
    """
    starts = [entry.cell.start for entry in sweep.entries]
    if any(start.start_from for start in starts):
        sweep = with_starting_points(sweep, storage)
    if any(start.is_file for start in starts):
        from core.checkpoints.starting_weights import with_file_checksums  # imported late: it takes torch, and seconds

        sweep = with_file_checksums(sweep)
    if any(entry.cell.data.extra_data for entry in sweep.entries):
        from core.data.extra import with_extra_checksums

        sweep = with_extra_checksums(sweep, data_dir)
    return sweep


def require_inputs(sweep: Sweep) -> None:
    """Raise ValueError if a cell does not name its initial weights or its extra images exactly."""
    for cell in (entry.cell for entry in sweep.entries):
        if not cell.start.resolved:
            raise ValueError(f"--start-from {cell.start.start_from}: {FIRST}")
        if cell.data.extra_data and cell.data.extra_sha256 is None:
            raise ValueError(f"--extra-data {cell.data.extra_data}: {FIRST}")
