"""What is known of a running sweep at this moment."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from core.config import Trial
from core.records import TrialRecord


@dataclass
class Running:
    """A trial that is training: its last reported row."""

    trial: Trial
    started: float = field(default_factory=time.monotonic)
    row: dict[str, float | None] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """Last reported epoch."""
        return int(self.row.get("epoch") or 0)


class Board:
    """Finished, running and waiting trials of a sweep; how many wait is None where seeds are added as needed."""

    def __init__(self, finished: dict[str, TrialRecord], waiting: int | None) -> None:
        self.finished = dict(finished)
        self.running: dict[str, Running] = {}
        self.waiting = waiting
        self.started = time.monotonic()
        self._finished_before = len(finished)

    def start(self, trial: Trial) -> None:
        """A trial started, for the first time or again."""
        if self.waiting is not None and trial.key not in self.running:
            self.waiting -= 1
        self.running[trial.key] = Running(trial)

    def advance(self, key: str, row: dict[str, float | None]) -> None:
        """A running trial reported an epoch."""
        self.running[key].row = row

    def finish(self, record: TrialRecord) -> None:
        """A trial ended with a record."""
        self.running.pop(record.key, None)
        self.finished[record.key] = record

    @property
    def seconds(self) -> float:
        """Since this driver began."""
        return time.monotonic() - self.started

    @property
    def eta_seconds(self) -> float | None:
        """Expected seconds to the end, from the pace so far; None while that can't be told."""
        done = len(self.finished) - self._finished_before
        if not done or self.waiting is None:
            return None
        # trials under way count as the share of their epochs that they have behind them
        partly = sum(r.epoch / r.trial.cell.training.epochs for r in self.running.values())
        left = self.waiting + len(self.running) - partly
        return self.seconds / (done + partly) * left
