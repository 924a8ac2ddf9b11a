"""How a sweep stands, read from its storage: what reports, tables and other sweeps know of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

from core.ledger.description import SweepDescription, read_description
from core.ledger.ledger import Ledger, crashed
from core.records import SweepProgress, TrialRecord
from core.storage import Store


@dataclass(frozen=True)
class SweepSnapshot:
    """A sweep at one moment."""

    description: SweepDescription
    finished: list[TrialRecord]
    """Records of all trials that have ended."""
    progress: SweepProgress | None
    """What the last driver said of the others, brought up to date; without a driver at work, what ran then waits.

    None if no driver ever said anything.
    """
    alive: bool
    """Does a driver seem to be at work?"""

    @cached_property
    def trials(self) -> list[TrialRecord]:
        """Finished trials and, with status ``running``, open ones: see `SweepProgress.open_trials`."""
        if self.progress is None:
            return self.finished
        described = self.description
        return [*self.finished, *self.progress.open_trials(described.cells, described.protocol)]

    @property
    def first_seed(self) -> int | None:
        """The sweep's first seed; None if no driver ever said anything."""
        return self.progress.first_seed if self.progress else None


class SweepReader:
    """Reads a sweep again and again. A record is read once, unless its trial crashed and may have been tried again.

    Args:
        ledger: of the sweep.
        traces: keep what was measured per epoch and per batch, which takes a hundred times the memory.

    Raises:
        ValueError: the storage has no such sweep.
    """

    def __init__(self, ledger: Ledger, traces: bool = True) -> None:
        description = read_description(ledger.store)
        if description is None:
            raise ValueError(f"{ledger.store.root} holds no sweep")
        self._ledger, self._description, self._traces = ledger, description, traces
        self._finished: dict[str, TrialRecord] = {}

    def read(self) -> SweepSnapshot:
        """The sweep as it stands now.

        Raises:
            ValueError: a file of the sweep is damaged.
        """
        # the progress first: a trial that ends in between then has a record, and is not taken for running
        progress = self._ledger.progress()
        known = {key: record for key, record in self._finished.items() if not crashed(record)}
        found = self._ledger.records(besides=known)
        self._finished = known | (
            found if self._traces else {key: record.without_traces() for key, record in found.items()}
        )
        finished = list(self._finished.values())
        alive = progress is not None and progress.is_alive(time.time())
        if progress is not None:
            progress = progress.without(finished)
            progress = progress if alive else progress.stopped()
        return SweepSnapshot(self._description, finished, progress, alive)


def stored_sweep(storage: str, sweep: str) -> Ledger:
    """The ledger of the sweep that ``--sweep`` names.

    Args:
        storage: absolute folder or URI that the sweep's files are in.
        sweep: its name.

    Raises:
        ValueError: it isn't there.
    """
    parent = Store(storage)
    ledger = Ledger(parent.child(sweep), sweep)
    if read_description(ledger.store) is None:
        known = ", ".join(name for name in parent.folders() if read_description(parent.child(name))) or "none"
        raise ValueError(f"--sweep {sweep}: there is no such sweep in {storage}; known are {known}")
    return ledger


def read_snapshot(storage: str, sweep: str) -> SweepSnapshot:
    """The sweep that ``--sweep`` names as it stands now, with whole records.

    Raises:
        ValueError: it isn't there, or one of its files is damaged.
    """
    return SweepReader(stored_sweep(storage, sweep)).read()
