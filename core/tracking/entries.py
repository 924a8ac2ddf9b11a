"""What MLflow may lack of a sweep, in as few words as it takes to write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.records import TrialRecord
from core.tracking.runs import EpochRow, SweepRuns

FindRecord = Callable[[str], TrialRecord | None]
"""The stored record of a finished trial by its key; None if there is none."""


@dataclass(frozen=True)
class TrialEntry:
    """A trial that started, reported or ended. Times are ms since 1970."""

    start: tuple[int, Mapping[str, Any]] | None = None
    """The trial as `describe` gives it."""
    rows: tuple[EpochRow, ...] = ()
    end: tuple[int, Literal["finished", "interrupted"]] | None = None

    def followed_by(self, newer: TrialEntry) -> TrialEntry:
        """Both in one. A finished trial's record has everything else."""
        end = newer.end if newer.start else newer.end or self.end
        if end and end[1] == "finished":
            return TrialEntry(end=end)
        return TrialEntry(newer.start or self.start, self.rows + newer.rows, end)

    def after(self, written: TrialEntry) -> TrialEntry | None:
        """What is left of this once ``written``, which it begins with, is written; None: nothing."""
        if self is written:
            return None
        start = None if self.start is written.start else self.start
        return TrialEntry(start, self.rows[len(written.rows) :], self.end)

    def write(self, runs: SweepRuns, key: str, find_record: FindRecord) -> None:
        """Write it; raises whatever MLflow raises."""
        if self.end and self.end[1] == "finished":
            record = find_record(key)
            if record is not None:  # else it crashed and is being tried again: a later entry tells how that ended
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
    """Something of the sweep's own run, of which only the newest version counts."""

    time: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Texts by file name."""
    rows: tuple[()] = ()

    def followed_by(self, newer: SweepEntry) -> SweepEntry:
        """The newer one."""
        return newer

    def after(self, written: SweepEntry) -> SweepEntry | None:
        """What is left once ``written`` is written: this, if it is newer."""
        return None if self is written else self

    def write(self, runs: SweepRuns, key: str, find_record: FindRecord) -> None:
        """Write it; raises whatever MLflow raises."""
        if self.metrics or self.tags:
            runs.log_sweep(self.time, self.metrics, self.tags)
        for name, text in self.files.items():
            runs.log_sweep_text(name, text, self.time)
