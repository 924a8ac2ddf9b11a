"""A running trial in the driver's memory."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from core.config import Trial
from core.engine.attempts import Attempts
from core.records import Row


@dataclass
class Running:
    """A trial that has started and has no record."""

    trial: Trial
    key: str
    name: str
    """Its name for people, such as ``beta=1 seed=0``."""
    cell_id: str
    attempt: int
    """How often this driver has started it."""
    reported: float = field(default_factory=time.monotonic)
    """Time of its start or last report on the monotonic clock, in seconds."""
    slowest_s: float = 0.0
    """Longest time between two of its reports, in seconds."""
    row: Row = field(default_factory=dict)
    """Metrics of its last reported epoch."""
    before: int | None = None
    """Epochs that it had completed before this driver started it; None before its first report."""
    device_seconds: float = 0.0
    """Device-seconds of the epochs that were reported to this driver."""
    earlier: Attempts = field(default_factory=Attempts)
    """Its attempts that have ended, also those of earlier drivers."""
    lost: float = 0.0
    """Device-seconds of these attempts after their last reports to this driver, which no checkpoint contains."""
    placed_at: float | None = None
    """Time from which it has occupied its devices, on the monotonic clock; None before its processes are known."""
    advanced_at: float | None = None
    """Time of its last report of an epoch."""
    ended_at: float | None = None
    """Time at which its process ended without a result; None while it runs."""
    process: tuple[str, int] | None = None
    """Node id and process id of its Tune trial; None before they are reported."""
    nodes: tuple[str, ...] = ()
    """Ids of the nodes of its workers; empty before they are reported."""
    memory_kills: int = 0
    """Processes that the kernel of its machine had killed for lack of memory when it started."""
    device_share: float = 1.0
    """The part of a device that each of its workers has."""
    silenced_s: float | None = None
    """Seconds without a report for which the watchdog ended its process; None if that has not happened."""

    @property
    def epoch(self) -> int:
        """Last reported epoch."""
        return int(self.row.get("epoch") or 0)

    @property
    def epochs(self) -> int:
        """Planned epochs."""
        return self.trial.cell.training.epochs

    @property
    def share(self) -> float:
        """Share of its planned epochs that were reported to this driver."""
        return (self.epoch - (self.before or 0)) / self.epochs

    @property
    def attempts(self) -> int:
        """How often it was started, also by earlier drivers."""
        return max(self.earlier.number + 1, self.attempt)

    @property
    def devices(self) -> float:
        """Number of devices that it occupies."""
        return self.trial.cell.training.workers * self.device_share

    def spent(self, now: float) -> float:
        """Device-seconds of this attempt until ``now``, set-up and verdict included.

        A driver that was stalled may see the start of a trial together with its epochs, whose own seconds count then.
        """
        if self.placed_at is None:
            return self.device_seconds
        return max(self.device_seconds, ((self.ended_at or now) - self.placed_at) * self.devices)

    def total(self, now: float) -> float:
        """Device-seconds of all its attempts until ``now``."""
        return self.earlier.device_seconds + self.spent(now)

    def lost_by_end(self, now: float) -> float:
        """Device-seconds that are lost at least if this attempt ends now, or has ended."""
        if self.placed_at is None:
            return 0.0
        return ((self.ended_at or now) - (self.advanced_at or self.placed_at)) * self.devices

    def forecast(self) -> float | None:
        """Expected device-seconds of the whole trial at its pace so far; None before its first report."""
        return self.device_seconds / self.share if self.share else None
