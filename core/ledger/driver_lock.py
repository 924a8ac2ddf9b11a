"""The lock that a sweep's driver holds, which allows one driver per sweep."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from core.storage import HeldError, Lease, LostLeaseError, Store
from core.temporary import EXIT_CODE, TemporaryError

LEASE = "driver"
"""Name of the folder of the lease's files."""
EXIT_S = 20.0
"""Seconds that a driver without its lease may take to end. The lease's checks stop its writes at once."""
SAY_S = 2.0
"""Seconds for a last message, because the program that reads the output may have stopped reading."""


@contextmanager
def driver_lock(store: Store, name: str, patience_s: float = 0.0) -> Iterator[Lease]:
    """Hold the sweep's lease, which prevents a second driver on any machine from training the same trials.

    The lease of a driver that was killed on this machine is taken over immediately. The lease of a driver on another
    machine is taken over when it was not refreshed for `core.storage.lease.STALE_S` seconds. A driver that loses its
    lease in any of the ways that `core.storage.Lease` describes is interrupted. If it does not end within `EXIT_S`
    seconds, its process exits at once with the code `EXIT_CODE`, because another driver may be running.

    Args:
        store: the sweep's store.
        name: the sweep's name.
        patience_s: seconds for which the lease is kept while the store cannot be reached.

    Raises:
        TemporaryError: another driver is running the sweep, or this one lost the lock.
    """
    lost: list[str] = []

    def message() -> str:
        return (
            f"--name {name}: this driver has lost the sweep's lease in {store.root} and stopped: {lost[0]}. "
            "Finished trials are saved, and the same command continues the sweep"
        )

    def exit_now() -> None:
        saying = threading.Thread(target=lambda: print(message(), file=sys.stderr, flush=True), daemon=True)
        saying.start()
        saying.join(SAY_S)
        os._exit(EXIT_CODE)

    exit_at_once = threading.Timer(EXIT_S, exit_now)
    exit_at_once.daemon = True
    main_thread = threading.main_thread().ident
    assert main_thread is not None

    def stop(reason: str) -> None:
        lost.append(reason)
        # A signal to the process may be handled by this thread, which would not wake a main thread that waits.
        signal.pthread_kill(main_thread, signal.SIGINT)
        exit_at_once.start()

    try:
        with Lease(store, LEASE, stop, patience_s, of=name) as lease:
            yield lease
    except HeldError as held:
        raise TemporaryError(
            f"--name {name}: another driver, {held.holder}, is running this sweep in {store.root}; wait or stop it"
        ) from None
    except KeyboardInterrupt:
        if not lost:
            raise
    except LostLeaseError:
        if not lost:
            raise
    finally:
        exit_at_once.cancel()
    if lost:
        raise TemporaryError(message())
