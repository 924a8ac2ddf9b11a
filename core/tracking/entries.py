"""Entries for the MLflow writer. An entry contains only what is needed to write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.records import TrialRecord
from core.tracking.runs import EpochRow, SweepRuns

FindRecord = Callable[[str], TrialRecord | None]
"""key -> stored record of a finished trial, or None if there is none."""


@dataclass(frozen=True)
class Entry:
    """News of one trial, or one value of the sweep's own run. Times are in ms since 1970."""

    start: tuple[int, Mapping[str, Any]] | None = None
    """Time of the trial's start, and its description made by `describe`."""
    rows: tuple[EpochRow, ...] = ()
    end: tuple[int, Literal["finished", "interrupted"]] | None = None
    """Time and kind of the trial's end."""
    of_sweep: Callable[[], None] | None = None
    """Function that writes the value of the sweep's run."""

    def followed_by(self, newer: Entry) -> Entry:
        """Both entries joined. For a finished trial only the end is kept, because its record contains the rest."""
        if newer.of_sweep:
            return newer
        end = newer.end if newer.start else newer.end or self.end
        if end and end[1] == "finished":
            return Entry(end=end)
        return Entry(newer.start or self.start, self.rows + newer.rows, end)

    def write(self, runs: SweepRuns, key: str, find_record: FindRecord) -> None:
        """Write the entry to MLflow; errors of MLflow are passed on."""
        if self.of_sweep:
            self.of_sweep()
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
