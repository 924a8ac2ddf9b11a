"""Where a sweep stands while it runs, as its driver says. Plain data: no torch, no Ray, no MLflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from itertools import count
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.records.record import TrialRecord

State = Literal["running", "finished", "interrupted", "failed"]
PERIOD_S = 15.0
"""How often a driver writes."""
MISSED_REPORTS = 3
"""A driver is taken for dead after this many missed reports, and `SLACK_S`."""
SLACK_S = 15.0
"""A busy machine, a slow store, clocks that differ a little."""


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RunningTrial(_Plain):
    """A trial that has started and not ended."""

    key: str
    cell_id: str
    seed: int
    pins: dict[str, int] = Field(default_factory=dict)
    attempt: int
    epoch: int
    """Last reported epoch; 0 before the first report."""
    epochs: int
    silent_s: float
    """Seconds since it last reported or started."""
    device_seconds: float = 0.0
    """Of the epochs reported to this driver."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """Of the last reported epoch: ``clean``, ``pgd10`` (or another number of steps), ``fosc``, ``sgcs``; if finite."""


class SweepProgress(_Plain):
    """What is running and waiting, and what it costs. Trials that have ended are not here: their records are."""

    sweep: str
    state: State
    host: str
    pid: int
    """Of the driver."""
    first_seed: int
    started_at: float
    """Seconds since 1970 at which this driver began."""
    written_at: float
    period_s: float
    """How often this driver writes."""
    running: tuple[RunningTrial, ...] = ()
    pending: dict[str, int] | None = None
    """Trials per cell that are to be trained and have not started; None: seeds are added as certainty needs them."""
    next_seeds: dict[str, int] = Field(default_factory=dict)
    """Smallest seed per cell among those pending."""
    done: int
    """Trials that have ended, censored ones included."""
    censored: int
    device_seconds: float
    """Of all trials so far, those of earlier drivers and those running included."""
    expected_device_seconds: float | None = None
    """Of all trials at the end, if the rest costs what its cells' trials cost so far; None while that can't be told."""
    eta_seconds: float | None = None
    """To the end, at the pace so far; None while that can't be told."""
    price: float | None = None
    """Of a device-hour, in the user's currency."""

    @property
    def total(self) -> int | None:
        """Trials of the sweep; None where seeds are added as needed."""
        return None if self.pending is None else self.done + len(self.running) + sum(self.pending.values())

    @property
    def elapsed_s(self) -> float:
        """Since this driver began."""
        return self.written_at - self.started_at

    def stopped(self) -> SweepProgress:
        """The same without a driver: what was running waits."""
        pending, seeds = self.pending, dict(self.next_seeds)
        if pending is not None:
            pending = dict(Counter(pending) + Counter(trial.cell_id for trial in self.running))
        for trial in self.running:
            seeds[trial.cell_id] = min(trial.seed, seeds.get(trial.cell_id, trial.seed))
        return self.model_copy(update={"running": (), "pending": pending, "next_seeds": seeds, "eta_seconds": None})

    def without(self, ended: Collection[TrialRecord]) -> SweepProgress:
        """The same without trials that have ended since it was written; ``ended``: all records of the sweep."""
        keys, seeds = {r.key for r in ended}, {(r.cell_id, r.seed) for r in ended}
        running = tuple(trial for trial in self.running if trial.key not in keys)
        next_seeds = {
            cell: next(seed for seed in count(first) if (cell, seed) not in seeds)
            for cell, first in self.next_seeds.items()
        }
        return self.model_copy(update={"running": running, "next_seeds": next_seeds, "done": len(keys)})

    def open_trials(
        self, cells: Mapping[str, Mapping[str, Any]], protocol: Mapping[str, Any] | None = None
    ) -> list[TrialRecord]:
        """A record without a verdict for each running trial, and for the first waiting trial of each cell.

        Trials of a cell that end before one with a smaller seed may not be counted yet, which is why the first waiting
        trial of a cell is here. It has not started: `TrialRecord.attempts` is 0.

        Args:
            cells: the sweep's cells by id, each with all its options; trials of other cells are left out.
            protocol: the sweep's protocol, which the records repeat.
        """
        running: list[dict[str, Any]] = [
            {"cell_id": t.cell_id, "seed": t.seed, "pins": t.pins, "attempts": t.attempt, "epochs_run": t.epoch}
            | {"device_seconds": t.device_seconds}
            for t in self.running
        ]
        waiting: list[dict[str, Any]] = [
            {"cell_id": cell, "seed": seed, "attempts": 0, "epochs_run": 0} for cell, seed in self.next_seeds.items()
        ]
        return [
            TrialRecord(
                **trial,
                sweep=self.sweep,
                cell=dict(cells[trial["cell_id"]]),
                allocation="adaptive" if self.pending is None else "fixed",
                protocol=dict(protocol or {}),
                status="running",
                epochs_planned=cells[trial["cell_id"]]["epochs"],
            )
            for trial in [*running, *waiting]
            if trial["cell_id"] in cells
        ]

    def age_s(self, now: float) -> float:
        """Seconds since this was written; below 0 where the clocks differ."""
        return now - self.written_at

    def is_alive(self, now: float) -> bool:
        """Does the driver seem to be running? ``now``: seconds since 1970."""
        return self.state == "running" and self.age_s(now) <= MISSED_REPORTS * self.period_s + SLACK_S
