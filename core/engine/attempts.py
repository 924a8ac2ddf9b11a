"""The number of a trial's attempts and the device time of all of them, which survives a kill."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass

from core.engine.filenames import ATTEMPTS
from core.storage import Store, UnreachableError

WRITE_S = 20.0
"""Seconds between two writes of the file. A killed attempt loses at most this much of its device time."""


@dataclass(frozen=True)
class Attempts:
    """What all attempts at a trial used.

    Attributes:
        number: how often the trial was started.
        device_seconds: device time of all attempts, including work that no checkpoint contains.
    """

    number: int = 0
    device_seconds: float = 0.0


class AttemptFile:
    """The file with a trial's `Attempts`, written by the leading rank.

    A checkpoint cannot count attempts that end before the next checkpoint. Machines that are taken away often would
    then be invisible in the records and in the bill.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written_at = time.monotonic()

    def read(self) -> Attempts:
        """The stored attempts; none if the file is missing or damaged, because training does not depend on it."""
        content = self._store.read(ATTEMPTS)
        try:
            stored = json.loads(content) if content else {}
            return Attempts(int(stored["number"]), float(stored["device_seconds"])) if stored else Attempts()
        except (ValueError, TypeError, KeyError):
            return Attempts()

    def write(self, attempts: Attempts) -> None:
        """Replace the file, or do nothing if the store is away, because training does not wait for this file."""
        self._written_at = time.monotonic()
        with suppress(UnreachableError):
            self._store.with_retry_limit(0).write(ATTEMPTS, json.dumps(asdict(attempts)).encode())

    @property
    def due(self) -> bool:
        """True if the last write was `WRITE_S` seconds ago."""
        return time.monotonic() - self._written_at >= WRITE_S

    def delete(self) -> None:
        """Delete the file, whose content the trial's record has."""
        self._store.delete(ATTEMPTS)
