"""Folders and locks of one driver."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from core.config import digest
from core.storage import Store


@contextmanager
def only_driver(store: Store, name: str) -> Iterator[None]:
    """Hold the sweep's lock, so that no second driver of this machine works on the same trials."""
    folder = Path(tempfile.gettempdir()) / f"unmask-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = FileLock(folder / f"{digest(store.root)}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(
            f"--name {name}: another driver is running this sweep in {store.root}; wait or stop it"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for what Tune and Train write about themselves; nobody needs it afterwards."""
    with tempfile.TemporaryDirectory(prefix="unmask-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def journal_folder(store: Store) -> Path:
    """Local folder of the tracking journal: beside the records, or in the user's home for a remote store."""
    if "://" in store.root:
        return Path.home() / ".unmask" / "journals" / digest(store.root)
    return Path(store.root) / "journal"
