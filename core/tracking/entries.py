"""Entries for the MLflow writer. An entry contains only what is needed to write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.records import TrialRecord
from core.tracking.runs import EpochRow, SweepRuns

FindRecord = Callable[[str], TrialRecord | None]
"""key -> stored record of a finished trial, or None if there is none."""


@dataclass(frozen=True)
class TrialEntry:
    """News of one trial: its start, reported epochs and its end. Times are in ms since 1970."""

    start: tuple[int, Mapping[str, Any]] | None = None
    """Time of the start, and the trial's description made by `describe`."""
    rows: tuple[EpochRow, ...] = ()
    end: tuple[int, Literal["finished", "interrupted"]] | None = None
    """Time and kind of the end."""

    def followed_by(self, newer: TrialEntry) -> TrialEntry:
        """Both entries joined. For a finished trial only the end is kept, because its record contains the rest."""
        end = newer.end if newer.start else newer.end or self.end
        if end and end[1] == "finished":
            return TrialEntry(end=end)
        return TrialEntry(newer.start or self.start, self.rows + newer.rows, end)

    def after(self, written: TrialEntry) -> TrialEntry | None:
        """The part of this entry that remains when ``written``, its first part, is written; None if nothing remains."""
        if self is written:
            return None
        start = None if self.start is written.start else self.start
        return TrialEntry(start, self.rows[len(written.rows) :], self.end)

    def write(self, runs: SweepRuns, key: str, find_record: FindRecord) -> None:
        """Write the entry to MLflow; errors of MLflow are passed on."""
        if self.end and self.end[1] == "finished":
            record = find_record(key)
            if record is not None:  # otherwise it crashed and runs again, and a later entry will report its end
                runs.finish_trial(record, self.end[0])
            return
        if self.start:
            runs.start_trial(self.start[1], self.start[0])
        if self.rows:
            runs.log_epochs(key, self.rows)
        if self.end:
            runs.interrupt_trial(key, self.end[0])


@dataclass(frozen=True)
class SweepEntry:
    """Metrics, tags or files of the sweep's own run. A newer entry with the same key replaces an older one."""

    time: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Contents of text files by file name."""
    rows: tuple[()] = ()

    def followed_by(self, newer: SweepEntry) -> SweepEntry:
        """The newer entry."""
        return newer

    def after(self, written: SweepEntry) -> SweepEntry | None:
        """None if ``written`` is this entry; otherwise this entry, which is newer."""
        return None if self is written else self

    def write(self, runs: SweepRuns, key: str, find_record: FindRecord) -> None:
        """Write the entry to MLflow; errors of MLflow are passed on."""
        if self.metrics or self.tags:
            runs.log_sweep(self.time, self.metrics, self.tags)
        for name, text in self.files.items():
            runs.log_sweep_text(name, text, self.time)
