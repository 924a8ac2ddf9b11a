"""The lock that a sweep's driver holds, which allows one driver per sweep."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from core.storage import HeldError, Holder, Lease, Store


@contextmanager
def driver_lock(store: Store, name: str) -> Iterator[None]:
    """Hold the sweep's lease, which prevents a second driver on any machine from training the same trials.

    The lease of a driver that was killed on this machine is taken over immediately. The lease of a driver on another
    machine is taken over when it was not refreshed for `core.storage.lease.STALE_S` seconds. A driver that loses its
    lease in this way is interrupted.

    Raises:
        ValueError: another driver is running the sweep, or has taken the sweep over while this one held the lock.
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
