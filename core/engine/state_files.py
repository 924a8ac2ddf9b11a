"""The files from which a trial goes on after an interruption, and which mean nothing once it has a record."""

from __future__ import annotations

from core.engine.filenames import ARTIFACT, ATTEMPTS, RESUME
from core.storage import Store


def delete_checkpoint(store: Store) -> None:
    """Delete a trial's checkpoint and all its artifacts."""
    store.delete(RESUME)
    for name in store.names():
        if name.startswith(ARTIFACT):
            store.delete(name)


def delete_state(store: Store) -> None:
    """Delete a trial's checkpoint, all its artifacts, and the count of its attempts."""
    delete_checkpoint(store)
    store.delete(ATTEMPTS)
