"""The thread that carries journal entries to the store, in order, as long as it takes."""

from __future__ import annotations

import logging
import threading
import time as clock
from collections.abc import Callable, Mapping
from itertools import takewhile

from core.records import TrialRecord
from core.storage.address import check_inside
from core.tracking.dead_letters import Rejected
from core.tracking.journal import Entry, Journal
from core.tracking.runs import EpochRow, SweepRuns

NOTE = "mlflow.note.content"
BUFFERED_ENTRIES = 5000
FIRST_DELAY, LONGEST_DELAY, CLOSING_DELAY = 0.25, 15.0, 1.0
REFUSALS = 8
"""Answers with an error after which an entry is set aside. An overloaded server also answers 400, so not the first."""
_REFUSED = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE", "NOT_FOUND")
FindRecord = Callable[[str], TrialRecord | None]
_logger = logging.getLogger(__name__)


class Writer:
    """One daemon thread; `finish` ends it."""

    def __init__(self, runs: SweepRuns, journal: Journal, find_record: FindRecord) -> None:
        self.rejected = Rejected(journal.folder)
        self.last_error = ""
        self._runs = runs
        self._journal = journal
        self._find_record = find_record
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._stop = threading.Event()
        self._summary: str | None = None
        self._progress: tuple[int, Mapping[str, float]] | None = None
        self._refusals = 0
        self._buffer: list[Entry] = []
        self._thread = threading.Thread(target=self._work, name="mlflow-writer", daemon=True)

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def wake(self) -> None:
        """There is something new to write."""
        self._wake.set()

    def offer_summary(self, markdown: str) -> None:
        """Replace the text that waits to be written."""
        self._summary = markdown
        self._wake.set()

    def offer_progress(self, time: int, metrics: Mapping[str, float]) -> None:
        """Replace the sweep's metrics that wait to be written."""
        self._progress = (time, metrics)
        self._wake.set()

    def finish(self, deadline_s: float, patient: bool = False) -> None:
        """Return when everything is written, or after ``deadline_s`` seconds.

        ``patient``: only once the store took nothing for as long.
        """
        self._closing.set()
        self._wake.set()
        left = None
        while self._thread.is_alive() and left != self._journal.left:
            left = self._journal.left if patient else None
            self._thread.join(deadline_s)
            if not patient:
                break
        self._stop.set()
        self._wake.set()

    def _work(self) -> None:
        delay = FIRST_DELAY
        while not self._stop.is_set():
            try:
                busy = self._write_some()
            except Exception as error:  # whatever it is, the entry stays in the journal
                self._note(error)
                if self._closing.is_set():
                    self._stop.wait(min(delay, CLOSING_DELAY))
                else:
                    self._closing.wait(delay)
                delay = min(2 * delay, LONGEST_DELAY)
                continue
            delay, self._refusals = FIRST_DELAY, 0
            if not busy:
                if self._closing.is_set():
                    return
                self._wake.wait()
                self._wake.clear()

    def _write_some(self) -> bool:
        if not self._buffer:
            self._write_offered()
            self._buffer = self._journal.pending(BUFFERED_ENTRIES)
        if self._buffer:
            group = self._next_group()
            self._write(group)
            self._journal.confirm(group[-1])
            del self._buffer[: len(group)]
        return bool(self._buffer) or self._journal.left > 0

    def _next_group(self) -> list[Entry]:
        epochs = list(takewhile(lambda entry: entry.get("kind") == "epochs", self._buffer))
        return epochs if epochs and not self._refusals else self._buffer[:1]

    def _write(self, group: list[Entry]) -> None:
        entry, time = group[0], group[0]["time"]
        match entry["kind"]:
            case "sweep":
                self._runs.open_sweep(time)
            case "start":
                self._runs.start_trial(entry["trial"], time)
            case "epochs":
                rows: dict[str, list[EpochRow]] = {}
                for part in group:
                    rows.setdefault(part["key"], []).extend((part["time"], row) for row in part["rows"])
                for key, of_trial in rows.items():
                    self._runs.log_epochs(key, of_trial)
            case "finish":
                self._finish(entry["key"], time)
            case "interrupt":
                self._runs.interrupt_trial(entry["key"], time)
            case "reconcile":
                self._runs.reconcile(entry["alive"], time)
                for key in self._runs.not_finished(entry["finished"]):
                    self._finish(key, time)
            case "progress":
                self._runs.log_sweep(time, entry["metrics"], {})
            case "summary":
                self._runs.log_sweep(time, {}, {NOTE: entry["text"]})
            case "artifact":
                check_inside(entry["path"])  # whoever may write a store must not get any other file of this machine
                file = self._journal.folder / entry["path"]
                self._runs.log_sweep_artifact(file, time)
            case "close":
                self._runs.close_sweep(entry["status"], time)

    def _finish(self, key: str, time: int) -> None:
        record = self._find_record(key)
        if record is not None:  # else it crashed, and is being tried again: another entry tells how that ended
            self._runs.finish_trial(record, time)

    def _write_offered(self) -> None:
        text, progress = self._summary, self._progress
        if progress is not None:
            self._runs.log_sweep(*progress, {})
            if self._progress is progress:
                self._progress = None
        if text is not None:
            self._runs.log_sweep(int(clock.time() * 1000), {}, {NOTE: text})
            if self._summary is text:
                self._summary = None

    def _note(self, error: Exception) -> None:
        self._runs.forget()
        self.last_error = (str(error).splitlines() or [type(error).__name__])[0][:300]
        _logger.debug("MLflow write failed, will be repeated: %s", self.last_error)
        if _may_pass(error) or not self._buffer:
            self._refusals = 0
            return
        self._refusals += 1
        if self._refusals >= REFUSALS:
            entry = self._buffer.pop(0)
            _logger.warning("MLflow refused a %r entry, kept aside: %s", entry.get("kind"), self.last_error)
            self.rejected.add(entry, self.last_error)
            self._journal.confirm(entry)
            self._refusals = 0


def _may_pass(error: Exception) -> bool:
    """Is waiting the cure (server away, database locked, disk full), whatever the entry says?"""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    if isinstance(error, MlflowException):
        return error.error_code not in _REFUSED
    return isinstance(error, (OSError, SQLAlchemyError)) and not isinstance(error, FileNotFoundError)
