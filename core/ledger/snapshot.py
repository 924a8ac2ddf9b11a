"""The state of a sweep as its storage shows it, for reports, status tables and evaluations."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

from core.allocation import SeedHistory
from core.ledger.description import SweepDescription, read_description
from core.ledger.ledger import Ledger
from core.records import SweepProgress, TrialRecord
from core.storage import Store


@dataclass(frozen=True)
class SweepSnapshot:
    """The state of a sweep at one moment."""

    description: SweepDescription
    finished: list[TrialRecord]
    """Records of all trials that have ended."""
    progress: SweepProgress | None
    """The last stored progress, corrected for trials that have ended since. None if no driver has stored any.

    If no driver is running, the trials that the last driver was running are among the waiting ones.
    """
    alive: bool
    """True if a driver seems to be running."""

    @cached_property
    def trials(self) -> list[TrialRecord]:
        """Finished trials, and open trials with status ``running`` (see `SweepProgress.open_trials`)."""
        if self.progress is None:
            return self.finished
        described = self.description
        return [*self.finished, *self.progress.open_trials(described.cells, described.protocol)]

    @property
    def history(self) -> SeedHistory:
        """What is known of how the sweep's seeds were chosen."""
        return SeedHistory(self.progress.first_seed if self.progress else None, self.description.plans)


class SweepReader:
    """Reads the state of a sweep repeatedly.

    A record is read only once, unless its trial crashed, because such a trial may have been started again, or may have
    a result that was stored late.

    Args:
        ledger: the sweep's ledger.
        traces: whether to keep the measurements per epoch and per batch, which take a hundred times the memory.

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
        """The current state of the sweep.

        Raises:
            ValueError: a file of the sweep is damaged.
        """
        # The progress is read first: a trial that ends between the two reads has a record, and is not shown as running.
        progress = self._ledger.progress()
        known = {key: record for key, record in self._finished.items() if not record.crashed}
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


def stored_sweep(storage: str, sweep: str, option: str = "--sweep") -> Ledger:
    """The ledger of the sweep that ``--sweep``, or another option, names.

    Args:
        storage: absolute folder or URI that the sweep's files are in.
        sweep: the sweep's name.
        option: the option to name in an error.

    Raises:
        ValueError: the storage has no such sweep.
    """
    parent = Store(storage)
    ledger = Ledger(parent.child(sweep), sweep)
    if read_description(ledger.store) is None:
        known = ", ".join(name for name in parent.folders() if read_description(parent.child(name)))
        others = f"known are {known}" if known else "no sweep is stored there, and --storage names another place"
        raise ValueError(f"{option} {sweep}: there is no such sweep in {storage}; {others}")
    return ledger


def read_snapshot(storage: str, sweep: str, option: str = "--sweep") -> SweepSnapshot:
    """The current state of the sweep that an option names, with complete records.

    Raises:
        ValueError: the storage has no such sweep, or one of the sweep's files is damaged.
    """
    return SweepReader(stored_sweep(storage, sweep, option)).read()
