"""The stored trials of an earlier sweep, for a new sweep that trains some of them again."""

from __future__ import annotations

from collections import Counter

from core.config import Cell, EarlierCell, EarlierSweep, EarlierTrials, Rerun
from core.ledger.description import read_description
from core.ledger.ledger import Ledger
from core.ledger.plugins import use_stored_plugins
from core.records import TrialRecord
from core.storage import Store


def read_earlier(storage: str, trials: EarlierTrials) -> EarlierSweep:
    """The cells of the earlier sweep, each with the seeds of its trials that have one of the requested outcomes.

    The seeds of a cell are sorted. Cells without such trials are left out.

    Args:
        storage: absolute folder or URI that the sweep's files are in.
        trials: the name of the earlier sweep, the requested outcomes and the requested cells.

    Raises:
        ValueError: there is no such sweep, its seeds are pinned, or no trial has a requested outcome.
    """
    use_earlier_plugins(storage, trials.sweep)
    protocol = sweep_ledger(storage, trials.sweep).protocol()
    assert protocol is not None
    records = earlier_records(storage, trials.sweep)
    if any(record.pins for record in records):
        raise ValueError(f"--seeds-from {trials.sweep}: its seeds are pinned; allowed are sweeps without --pin-seed")
    seeds: dict[Cell, list[int]] = {}
    for record in sorted(records, key=lambda r: r.seed):
        if record.verdict is not None and record.verdict.outcome in trials.where:
            cell = Cell.stored(record.cell, f"trial {record.key} of sweep {trials.sweep}")
            seeds.setdefault(cell, []).append(record.seed)
    cells = tuple(EarlierCell(cell, tuple(numbers)) for cell, numbers in seeds.items() if trials.takes(cell))
    if not cells:
        ended = Counter(record.verdict.outcome for record in records if record.verdict)
        found = ", ".join(f"{count} {outcome}" for outcome, count in ended.items()) or "none"
        of_cells = f" with {trials.cells}" if trials.cells else ""
        raise ValueError(
            f"--where {' '.join(trials.where)}: no trial{of_cells} of sweep {trials.sweep} has such an outcome; "
            f"its finished trials: {found}"
        )
    return EarlierSweep(trials, protocol, cells)


def use_earlier_plugins(storage: str, sweep: str) -> None:
    """Load the plug-ins of an earlier sweep, whose cells need them. Without such a sweep nothing happens.

    Raises:
        ValueError: a plug-in cannot be loaded, or the sweep's description is damaged.
    """
    store = Store(storage).child(sweep)
    if description := read_description(store):
        use_stored_plugins(store, description)


def earlier_records(storage: str, sweep: str) -> list[TrialRecord]:
    """The records of all finished trials of a sweep.

    Raises:
        ValueError: there is no such sweep.
    """
    return list(sweep_ledger(storage, sweep).records().values())


def sweep_ledger(storage: str, sweep: str) -> Ledger:
    """The ledger of a stored sweep.

    Raises:
        ValueError: the store has no such sweep.
    """
    parent = Store(storage)
    ledger = Ledger(parent.child(sweep), sweep)
    if ledger.protocol() is None:
        known = ", ".join(parent.folders()) or "none"
        raise ValueError(f"there is no sweep {sweep} in {storage}; known are {known}. Run it first, or give --storage")
    return ledger


def stored_rerun(storage: str, sweep: str) -> Rerun | None:
    """The earlier sweep from which a sweep takes its seeds.

    None if the sweep has seeds of its own, or if there is no such sweep in the store.

    Args:
        storage: absolute folder or URI that the sweep's files are in.
        sweep: the sweep's name.

    Raises:
        ValueError: the sweep's description is damaged.
    """
    description = read_description(Store(storage).child(sweep))
    if description is None or not description.rerun:
        return None
    return Rerun(**description.rerun, counterparts=description.counterparts)
