"""What a sweep reads besides its data set, named exactly before training starts: trials and files to start from."""

from __future__ import annotations

from core.config import Sweep
from core.ledger.starting_points import with_starting_points


def with_inputs(sweep: Sweep, storage: str) -> Sweep:
    """The sweep whose cells name what they start from by ids and checksums, on which the ids of the cells depend.

    A sweep whose cells are named exactly already stays the same.

    Args:
        sweep: the sweep that was asked for.
        storage: absolute folder or URI of all sweeps.

    Raises:
        ValueError: something is missing, unfinished, damaged, or belongs to other data or another network.
    """
    starts = [entry.cell.start for entry in sweep.entries]
    if any(start.start_from for start in starts):
        sweep = with_starting_points(sweep, storage)
    if any(start.is_file for start in starts):
        from core.engine.starting_point import with_file_checksums  # imported late: it takes torch, and seconds

        sweep = with_file_checksums(sweep)
    return sweep


def require_inputs(sweep: Sweep) -> None:
    """Raise ValueError if a cell does not name exactly what it starts from."""
    for start in (entry.cell.start for entry in sweep.entries):
        if not start.resolved:
            raise ValueError(f"--start-from {start.start_from}: call core.sweep.inputs.with_inputs before run_sweep")
