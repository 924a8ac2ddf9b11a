"""The number of a trial's attempts and the device time of all of them, which survives a kill."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.engine.filenames import ATTEMPTS
from core.seal import ChecksumError, check_seal, sealed
from core.storage import Store, UnreachableError

WRITE_S = 20.0
"""Seconds between two writes of the file. A killed attempt loses at most this much of its device time."""


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
        self._written_at = time.monotonic()

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
        self._written_at = time.monotonic()
        with suppress(UnreachableError):
            stored = _Stored(**attempts.model_dump(), trial=self._trial)
            self._store.with_retry_limit(0).write(ATTEMPTS, sealed(stored.model_dump_json()))

    @property
    def due(self) -> bool:
        """True if the last write was `WRITE_S` seconds ago."""
        return time.monotonic() - self._written_at >= WRITE_S

    def delete(self) -> None:
        """Delete the file, whose content the trial's record has."""
        self._store.delete(ATTEMPTS)
