"""The progress of a sweep, which its driver stores while it runs. Plain data: no torch, no Ray, no MLflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from itertools import count
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.records.record import TrialRecord

State = Literal["running", "finished", "interrupted", "failed"]
PERIOD_S = 15.0
"""Seconds between two reports of a driver."""
MISSED_REPORTS = 3
"""Number of missed reports after which, plus `SLACK_S` seconds, a driver is assumed to be dead."""
SLACK_S = 15.0
"""Extra seconds that allow for a busy machine, a slow store and clocks that differ a little."""


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RunningTrial(_Plain):
    """A trial that has started and has not ended."""

    key: str
    name: str = ""
    """Its name for people, such as ``beta=1 seed=0``; empty in the progress of earlier versions."""
    cell_id: str
    seed: int
    pins: dict[str, int] = Field(default_factory=dict)
    attempt: int
    """How often it was started, also by earlier drivers."""
    epoch: int
    """Last reported epoch; 0 before the first report."""
    epochs: int
    silent_s: float
    """Seconds since the trial last reported or started."""
    device_seconds: float = 0.0
    """Device-seconds of all its attempts so far."""
    lost_device_seconds: float = 0.0
    """The part of them that is known to be lost. Its record will know more."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """Finite metrics of the last reported epoch: ``clean``, ``pgd10`` (or another number of steps), ``fosc``, ``sgcs``.
    """

    @property
    def title(self) -> str:
        """Its name for people, or its key if it has none."""
        return self.name or self.key


class SweepProgress(_Plain):
    """The running and waiting trials of a sweep, and its cost. Finished trials are described by their records."""

    sweep: str
    state: State
    host: str
    pid: int
    """Process id of the driver."""
    first_seed: int
    started_at: float
    """Start of this driver, in seconds since 1970."""
    written_at: float
    """Time of this report, in seconds since 1970."""
    period_s: float
    """Seconds between two reports of this driver."""
    running: tuple[RunningTrial, ...] = ()
    pending: dict[str, int] | None = None
    """Number of waiting trials per cell; None if seeds are added adaptively."""
    next_seeds: dict[str, int] = Field(default_factory=dict)
    """Smallest seed per cell among the waiting trials."""
    done: int
    """Number of trials that have ended, including censored ones."""
    censored: int
    """Number of censored trials."""
    device_seconds: float
    """Device-seconds of all trials so far, including running trials, lost attempts and earlier drivers."""
    lost_device_seconds: float = 0.0
    """The part of them whose work was lost when attempts ended, as far as it is known while trials run."""
    restarts: int = 0
    """How often trials that ended or run were started again."""
    expected_device_seconds: float | None = None
    """Device-seconds of the whole sweep, if open trials cost as much as their cells' trials so far; None if unknown."""
    eta_seconds: float | None = None
    """Seconds until the end of the sweep at the pace so far; None if unknown."""
    price: float | None = None
    """Price of a device-hour in the user's currency."""
    stopped_because: str = ""
    """Sentence about why the driver ended the sweep before all trials were done; empty if it did not."""

    @property
    def total(self) -> int | None:
        """Number of trials of the sweep; None if seeds are added adaptively."""
        return None if self.pending is None else self.done + len(self.running) + sum(self.pending.values())

    @property
    def elapsed_s(self) -> float:
        """Seconds from the driver's start to this report."""
        return self.written_at - self.started_at

    def stopped(self) -> SweepProgress:
        """The same progress after the driver has stopped: the running trials become waiting ones."""
        pending, seeds = self.pending, dict(self.next_seeds)
        if pending is not None:
            pending = dict(Counter(pending) + Counter(trial.cell_id for trial in self.running))
        for trial in self.running:
            seeds[trial.cell_id] = min(trial.seed, seeds.get(trial.cell_id, trial.seed))
        return self.model_copy(update={"running": (), "pending": pending, "next_seeds": seeds, "eta_seconds": None})

    def without(self, ended: Collection[TrialRecord]) -> SweepProgress:
        """The same progress without the trials that have ended since it was written.

        Args:
            ended: the records of all finished trials of the sweep.
        """
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

        A finished trial must not be counted before the trials of its cell with smaller seeds have ended. The first
        waiting trial of each cell is included for this rule; it has not started, and its `TrialRecord.attempts` is 0.

        Args:
            cells: all options of each cell of the sweep by the cell's id; trials of other cells are left out.
            protocol: the sweep's protocol, which is copied to each record.
        """
        running: list[dict[str, Any]] = [
            {"cell_id": t.cell_id, "seed": t.seed, "pins": t.pins, "attempts": t.attempt, "epochs_run": t.epoch}
            | {"device_seconds": t.device_seconds, "lost_device_seconds": t.lost_device_seconds}
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
        """Seconds from this report to ``now`` (seconds since 1970); negative if the clocks of two machines differ."""
        return now - self.written_at

    def is_alive(self, now: float) -> bool:
        """True if the driver seems to be running at ``now`` (seconds since 1970)."""
        return self.state == "running" and self.age_s(now) <= MISSED_REPORTS * self.period_s + SLACK_S
