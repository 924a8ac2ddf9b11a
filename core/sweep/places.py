"""What one driver has for itself: the sweep, and folders on its machine."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.config import digest
from core.storage import HeldError, Holder, Lease, Store
from core.storage.machine import started_at, this_machine


@contextmanager
def only_driver(store: Store, name: str) -> Iterator[None]:
    """Hold the sweep's lease, so that no second driver, on this machine or another, works on the same trials.

    A driver that was killed on this machine is followed at once; one on another machine when it has been silent for
    `core.storage.lease.STALE_S`. A driver that another one has followed is interrupted.

    Raises:
        ValueError: another driver is at work, or has taken the sweep over meanwhile.
    """
    taken_by: list[Holder] = []

    def stop(holder: Holder) -> None:
        taken_by.append(holder)
        os.kill(os.getpid(), signal.SIGINT)

    try:
        with Lease(store, "driver", stop):
            yield
    except HeldError as held:
        raise ValueError(
            f"--name {name}: another driver, {held.holder}, is running this sweep in {store.root}; wait or stop it"
        ) from None
    except KeyboardInterrupt:
        if not taken_by:
            raise
    if taken_by:
        raise ValueError(f"--name {name}: another driver, {taken_by[0]}, has taken this sweep over; this one stopped")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for what Tune and Train write about themselves; nobody needs it afterwards.

    Those that killed drivers left on this machine are removed.
    """
    prefix = f"unmask-{this_machine()}-"
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        if not started_at(int(left.name.removeprefix(prefix).partition("-")[0])):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def journal_folder(store: Store) -> Path:
    """Local folder of the tracking journal: beside the records, or in the user's home for a remote store."""
    if "://" in store.root:
        return Path.home() / ".unmask" / "journals" / digest(store.root)
    return Path(store.root) / "journal"
