"""A thread that writes entries to MLflow and repeats each write until it succeeds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from core.tracking.entries import Entry, FindRecord
from core.tracking.runs import SweepRuns

MAX_ROWS = 50_000
"""Largest number of waiting rows of traces, about 60 MB. MLflow receives further rows with the trial's record."""
FIRST_DELAY_S, MAX_DELAY_S, MAX_CLOSING_DELAY_S = 0.25, 15.0, 1.0
_logger = logging.getLogger(__name__)


class Writer:
    """A daemon thread that writes entries; `finish` ends it.

    Entries with the same key are joined. A write that fails is repeated at growing intervals until it succeeds. The
    failed entry is moved behind the other entries, which therefore do not wait for it.

    Args:
        runs: the writer of the sweep's runs.
        find_record: see `FindRecord`.
        opening: called with this writer before the first entry is written, and repeated until it succeeds.
    """

    def __init__(self, runs: SweepRuns, find_record: FindRecord, opening: Callable[[Writer], None]) -> None:
        self.last_error = ""
        self._runs, self._find_record = runs, find_record
        self._opening: Callable[[Writer], None] | None = opening
        self._ending: Callable[[Writer], None] | None = None
        self._entries: dict[str, Entry] = {}
        self._writing: set[str] = set()
        self._rows = self._written = 0
        self._mutex = threading.Lock()
        self._wake, self._closing, self._stop = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="mlflow-writer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def add(self, key: str, entry: Entry, oldest: bool = False) -> None:
        """Add an entry; with ``oldest`` it is written before the waiting entry with the same key."""
        with self._mutex:
            if entry.rows and self._rows >= MAX_ROWS and not oldest:
                return
            known = self._entries.get(key)
            if known is not None:
                self._rows -= len(known.rows)
                entry = entry.followed_by(known) if oldest else known.followed_by(entry)
            self._rows += len(entry.rows)
            self._entries[key] = entry
        self._wake.set()

    @property
    def left(self) -> int:
        """Number of entries that are not written yet."""
        with self._mutex:
            waiting = {*self._entries, *self._writing}
        return len(waiting) + (self._opening is not None) + (self._ending is not None)

    def went_on(self) -> None:
        """Note that MLflow has answered, so that a patient `finish` goes on waiting."""
        self._written += 1

    def finish(self, ending: Callable[[Writer], None], deadline_s: float, patient: bool) -> None:
        """Write the waiting entries and end the thread.

        Args:
            ending: called with this writer when all entries are written, and again if it added entries.
            deadline_s: seconds after which the thread ends and the rest is not written.
            patient: apply ``deadline_s`` to the time since the last write or `went_on`, not to the whole call.
        """
        self._ending = ending
        self._closing.set()
        self._wake.set()
        written = -1
        while self._thread.is_alive() and written != self._written:
            written = self._written
            self._thread.join(deadline_s)
            if not patient:
                break
        self._stop.set()
        self._wake.set()

    def _work(self) -> None:
        delay = FIRST_DELAY_S
        while not self._stop.is_set():
            try:
                busy = self._write_one()
            except Exception as error:  # any library below MLflow may raise; the entry is kept for the next attempt
                self._runs.forget()
                self.last_error = (str(error).splitlines() or [type(error).__name__])[0][:300]
                _logger.debug("MLflow write failed, will be repeated: %s", self.last_error)
                if self._closing.is_set():
                    self._stop.wait(min(delay, MAX_CLOSING_DELAY_S))
                else:
                    self._closing.wait(delay)
                delay = min(2 * delay, MAX_DELAY_S)
                continue
            delay = FIRST_DELAY_S
            self._written += busy
            if not busy:
                if self._closing.is_set():
                    return
                self._wake.wait()
                self._wake.clear()

    def _write_one(self) -> bool:
        """Write the next entry; False if there is none."""
        if self._opening is not None:
            self._opening(self)
            self._opening = None
        with self._mutex:
            key, entry = next(iter(self._entries.items()), ("", None))
            if entry is not None:
                del self._entries[key]
                self._rows -= len(entry.rows)
                self._writing = {key}
        if entry is None:
            if self._closing.is_set() and self._ending is not None:
                self._ending(self)
                if self._entries:
                    return True
                self._ending = None
            return False
        try:
            entry.write(self._runs, key, self._find_record)
        except Exception:
            self.add(key, entry, oldest=True)
            raise
        finally:
            self._writing = set()
        return True
