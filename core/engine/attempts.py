"""The number of a trial's attempts and the device time of all of them, which survives a kill."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.engine.filenames import ATTEMPTS
from core.seal import ChecksumError, check_seal, sealed
from core.storage import Store, StoreError, UnreachableError

WRITE_S = 20.0
"""Seconds between two writes of the file.

Of a killed attempt this much time on each of its devices may not be counted, longer while the store is away, and all of
it before the attempt has read its trial's record."""


class Attempts(BaseModel):
    """What all attempts at a trial used.

    Attributes:
        number: how often the trial was started.
        device_seconds: device time of all attempts, including work that no checkpoint contains.
    """

    model_config = ConfigDict(frozen=True)

    number: int = Field(0, ge=0)
    device_seconds: float = Field(0.0, ge=0, allow_inf_nan=False)


class _Stored(Attempts):
    trial: str = ""
    """Key of the trial; empty in files of earlier versions."""


class AttemptFile:
    """The file with a trial's `Attempts`, written by the leading rank.

    A checkpoint cannot count attempts that end before the next checkpoint. Machines that are taken away often would
    then be invisible in the records and in the bill.

    Args:
        store: the store of the trial's files.
        trial: the trial's key, which the file contains.
    """

    def __init__(self, store: Store, trial: str) -> None:
        self._store, self._trial = store, trial
        self._written = False

    def read(self, say: Callable[[str], None] = lambda _: None) -> Attempts:
        """The stored attempts; none if the file is missing.

        A file that is damaged or belongs to another trial is not used, because training does not depend on it.

        Args:
            say: called with a line of text about such a file.
        """
        content = self._store.read(ATTEMPTS)
        if content is None:
            return Attempts()
        try:
            check_seal(content)
            stored = _Stored.model_validate_json(content)
            problem = "" if stored.trial in ("", self._trial) else f"belongs to trial {stored.trial}"
        except (ChecksumError, ValidationError):
            stored, problem = _Stored(), "is damaged"
        if problem:
            say(f"{self._store.place(ATTEMPTS)} {problem}; attempts before the last checkpoint are not counted")
            return Attempts()
        return Attempts(number=stored.number, device_seconds=stored.device_seconds)

    def write(self, attempts: Attempts) -> None:
        """Replace the file, or do nothing if the store is away, because training does not wait for this file."""
        with suppress(UnreachableError):
            stored = _Stored(**attempts.model_dump(), trial=self._trial)
            self._store.with_retry_limit(0).write(ATTEMPTS, sealed(stored.model_dump_json()))
            self._written = True

    def replace(self, attempts: Attempts) -> None:
        """Replace the file unless a later attempt has begun or ended, or do nothing if the store does not work.

        A process that was cut off and taken for dead may live beside the next attempt, and may outlive it. The attempt
        that stores the result deletes the file.
        """
        with suppress(StoreError):
            store = self._store.with_retry_limit(0)
            deleted = self._written and store.age(ATTEMPTS) is None
            if not deleted and AttemptFile(store, self._trial).read().number <= attempts.number:
                self.write(attempts)

    def delete(self) -> None:
        """Delete the file, whose content the trial's record has."""
        self._store.delete(ATTEMPTS)


class AttemptClock:
    """Counts the device time of an attempt, and stores it in a thread from the attempt's start to its end.

    Set-up, epochs and the verdict are counted alike, because a machine that is taken away in any of them was paid for.
    The thread draws no random numbers and changes nothing that training uses.

    It is a context manager. On exit it waits for the last write, so that no write of an ended attempt can follow those
    of the next attempt.

    Args:
        file: the file of the trial; None on ranks that do not lead, which count only for themselves.
        devices: number of devices that the attempt occupies; a part of a device counts as this part.
        began: time of the attempt's start on the monotonic clock.
        say: called with a line of text about a file that cannot be used.
    """

    def __init__(
        self, file: AttemptFile | None, devices: float, began: float, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._file, self._devices, self._began, self._say = file, devices, began, say
        self._earlier = Attempts()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._store_often, name="attempt", daemon=True)

    def __enter__(self) -> AttemptClock:
        if self._file:
            self._earlier = self._file.read(self._say)
            self._file.write(self.attempts)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        if self._file:
            self._file.replace(self.attempts)

    @property
    def attempts(self) -> Attempts:
        """All attempts up to now, this one included."""
        spent = (time.monotonic() - self._began) * self._devices
        earlier = self._earlier
        return Attempts(number=earlier.number + 1, device_seconds=earlier.device_seconds + spent)

    def resume(self, number: int, device_seconds: float) -> float:
        """Note what the checkpoint contains, and return the device-seconds of earlier attempts that it lacks.

        The checkpoint counts if the file was lost.
        """
        earlier = self._earlier
        self._earlier = Attempts(
            number=max(number, earlier.number), device_seconds=max(device_seconds, earlier.device_seconds)
        )
        return self._earlier.device_seconds - device_seconds

    def delete(self) -> None:
        """Delete the file, whose content the trial's record has. Nothing is stored afterwards."""
        self._stop()
        if self._file:
            self._file.delete()
        self._file = None

    def _stop(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _store_often(self) -> None:
        while not self._ended.wait(WRITE_S):
            if self._file:
                self._file.replace(self.attempts)
