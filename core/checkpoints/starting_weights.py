"""Reading the initial weights of trials that start from another trial or from a file."""

from __future__ import annotations

from pathlib import Path

from core.checkpoints.checkpoint import Checkpoint, load_checkpoint, locate
from core.config import Cell, Sweep, Trial
from core.engine.selection import copy_weights
from core.engine.starting_point import StartingPoint
from core.ledger.description import read_description
from core.ledger.ledger import Ledger
from core.ledger.plugins import use_stored_plugins
from core.ledger.starting_points import require_same, usable_record
from core.storage import CorruptFileError, Store


def read_starting_point(trial: Trial, storage: Store) -> StartingPoint | None:
    """The weights that ``trial`` starts from; None if it starts from random weights.

    Args:
        trial: its cell names the weights exactly.
        storage: store of all sweeps.

    Raises:
        ValueError: the weights are not there or belong to other data or another network.
        CorruptFileError: a file does not have its checksum.
    """
    start = trial.cell.start
    if start.start_from is None:
        return None
    given = f"--start-from {start.start_from}"
    if not start.resolved:
        raise ValueError(f"{given}: core.checkpoints.inputs.with_inputs must name the weights exactly first")
    if start.is_file:
        found = _read_file(start.start_from, start.start_sha256)
        require_same(trial.cell, found.cell, given)
        return _starting_point(found, start.start_from)
    ledger = Ledger(storage.child(start.sweep), start.sweep)
    if description := read_description(ledger.store):
        use_stored_plugins(ledger.store, description)
    key = start.key(trial.seed, trial.pins)
    record = usable_record(ledger, key, start.start_checkpoint, given)
    assert record.verdict is not None
    file = f"{start.start_checkpoint}.pt"
    found = load_checkpoint(ledger.trial_store(key), file, record.checkpoints[file])
    require_same(trial.cell, found.cell, given)
    return _starting_point(found, f"{start.sweep}/{key}/{file}", start_outcome=record.verdict.outcome)


def with_file_checksums(sweep: Sweep) -> Sweep:
    """The sweep whose cells name the checksums of the files that they start from.

    Raises:
        ValueError: a file is missing, is not a checkpoint, belongs to other data or another network, or has another
            checksum than a cell names.
    """
    return sweep.with_cells(lambda entry: _with_checksum(entry.cell))


def _with_checksum(cell: Cell) -> Cell:
    start = cell.start
    if start.start_from is None or not start.is_file:
        return cell
    found = _read_file(start.start_from, start.start_sha256)
    require_same(cell, found.cell, f"--start-from {start.start_from}")
    place = start.start_from if "://" in start.start_from else str(Path(start.start_from).absolute())
    return Cell.from_flat({**cell.flat(), "start_from": place, "start_sha256": found.sha256})


def _read_file(path: str, sha256: str | None) -> Checkpoint:
    try:
        return load_checkpoint(*locate(path), sha256)
    except CorruptFileError as error:
        raise ValueError(f"--start-sha256 {sha256}: {path} has another SHA-256") from error
    except ValueError as error:
        raise ValueError(f"--start-from {error}") from error


def _starting_point(found: Checkpoint, place: str, **more: str) -> StartingPoint:
    origin = {"start_from": place, "start_sha256": found.sha256, "start_epoch": str(found.epoch), **more}
    return StartingPoint(copy_weights(found.model), origin)
