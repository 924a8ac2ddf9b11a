"""The stored trials whose weights the trials of a new sweep start from."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from pydantic import ValidationError

from core.config import Cell, EarlierTrials, SeededCell, Sweep
from core.config.sweep import MAX_SEEDS
from core.ledger.description import read_description
from core.ledger.earlier import sweep_ledger, use_earlier_plugins
from core.ledger.ledger import Ledger
from core.records import TrialRecord, varying_options

MAX_SHOWN = 5
"""Largest number of options or trials that a message lists."""
SAME = {
    "data": ("dataset", "classes", "channels", "image_size", "train_images", "data_seed", "validation_images"),
    "model": ("model", "norm"),
}
"""Options in which a trial and the one that it starts from must agree.

With another validation split, validation images may have been among the training images of the earlier trial."""


def with_starting_points(sweep: Sweep, storage: str) -> Sweep:
    """The sweep whose cells name the stored cell or trial that they start from by its id.

    Args:
        sweep: its cells may name other sweeps and options of their cells.
        storage: absolute folder or URI of all sweeps.

    Raises:
        ValueError: there is no such sweep, cell or trial, the trial is not finished or failed, or its data or network
            are others.
    """
    return sweep.with_cells(lambda entry: _resolved(entry, sweep, storage))


def require_same(cell: Cell, source: Cell, given: str) -> None:
    """Check that a trial of ``cell`` can start from the weights of a trial of ``source``.

    Raises:
        ValueError: the data or the network are others. The message begins with ``given``.
    """
    for part, options in SAME.items():
        for option in options:
            mine, theirs = (getattr(getattr(c, part), option) for c in (cell, source))
            if mine != theirs:
                raise ValueError(f"{given}: it has {option} {theirs}, and a cell of this sweep has {mine}")


def usable_record(ledger: Ledger, key: str, checkpoint: str, given: str) -> TrialRecord:
    """The record of a finished trial that has the checkpoint.

    Raises:
        ValueError: there is no such trial, it is censored, or it has no such checkpoint.
    """
    record = ledger.record(key)
    if record is None or record.verdict is None:
        raise ValueError(f"{given}: sweep {ledger.name} has no finished trial {key}")
    if record.verdict.outcome == "censored":
        raise ValueError(f"{given}: trial {key} is censored ({record.verdict.censor_reason})")
    if f"{checkpoint}.pt" not in record.checkpoints:
        kept = ", ".join(name.removesuffix(".pt") for name in record.checkpoints) or "none"
        raise ValueError(f"--start-checkpoint {checkpoint}: trial {key} of sweep {ledger.name} has only {kept}")
    return record


def _resolved(entry: SeededCell, sweep: Sweep, storage: str) -> Cell:
    cell, start = entry.cell, entry.cell.start
    if start.start_from is None or start.is_file:
        return cell
    given = f"--start-from {start.start_from}"
    try:
        ledger = sweep_ledger(storage, start.sweep)
        use_earlier_plugins(storage, start.sweep)
    except ValueError as error:
        raise ValueError(f"{given}: {error}") from error
    source = _source(ledger, cell, given)
    require_same(cell, source, given)
    if not start.resolved:
        cell = Cell.from_flat({**cell.flat(), "start_from": f"{start.sweep}/{source.id}"})
    keys = dict.fromkeys(_keys(cell, entry, sweep))
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: usable_record(ledger, key, start.start_checkpoint, given), keys))
    return cell


def _keys(cell: Cell, entry: SeededCell, sweep: Sweep) -> Iterator[str]:
    for group, pins in enumerate(sweep.pin_groups):
        for seed in entry.numbered(sweep.first_seed):
            yield cell.start.key(seed + group * MAX_SEEDS, pins)


def _source(ledger: Ledger, cell: Cell, given: str) -> Cell:
    """The stored cell that the option names."""
    description = read_description(ledger.store)
    assert description is not None
    start = cell.start
    if start.resolved:
        cell_id = start.part.partition("-")[0]
        if cell_id not in description.cells:
            raise ValueError(f"{given}: sweep {start.sweep} has no cell {cell_id}")
        return Cell.stored(description.cells[cell_id], f"cell {cell_id} of sweep {start.sweep}")
    cells = [Cell.stored(flat, f"cell {cell_id} of sweep {start.sweep}") for cell_id, flat in description.cells.items()]
    wanted = [word.partition("=") for word in start.part.split(",") if word]
    try:
        trials = EarlierTrials(sweep=start.sweep, cells={name.strip(): value for name, _, value in wanted})
        found = [source for source in cells if trials.takes(source)]
    except ValidationError as error:
        raise ValueError(f"{given}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error
    if not found:
        raise ValueError(f"{given}: none of the {len(cells)} cells of sweep {start.sweep} has these options")
    if len(found) > 1:
        varying = varying_options(source.flat() for source in found)[:MAX_SHOWN]
        example = ",".join(f"{name}={found[0].flat()[name]}" for name in varying if name in found[0].flat())
        raise ValueError(
            f"{given}: sweep {start.sweep} has {len(found)} such cells; choose one, as in {start.sweep}/{example}"
        )
    return found[0]
