"""The context of a trial: what it is given besides its options and its images."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from core.engine.ranks import Ranks
from core.engine.starting_point import StartingPoint
from core.records import Row
from core.storage import Store

Report = Callable[[int, list[Row], bool], None]
"""Called with the last epoch, the rows since the last call, and whether the trial is decided and about to end.

All ranks call it at the same points of the trial."""


@dataclass(frozen=True)
class Cadence:
    """Seconds between reports and between checkpoints. Several short epochs share one report.

    `CheckpointWriter` explains ``checkpoint_s``.
    """

    report_s: float = 1.0
    checkpoint_s: float = 20.0


@dataclass(frozen=True)
class TrialContext:
    """The context of a trial: its sweep, store, ranks, callback and limits.

    Attributes:
        sweep: name of the sweep.
        store: the store of this trial's files.
        ranks: this rank's place among the trial's workers.
        report: see `Report`.
        commit: git commit of the driver's code.
        cadence: times between reports and between checkpoints.
        timeout_s: seconds of training after which the trial is censored; None: never.
        device_share: the part of a device that a rank has: below 1 if several trials share a GPU.
        start: initial weights; None: random weights.
        began: time of the attempt's start on the monotonic clock. Its device time counts from then on.
    """

    sweep: str
    store: Store
    ranks: Ranks
    report: Report
    commit: str
    cadence: Cadence = Cadence()
    timeout_s: float | None = None
    device_share: float = 1.0
    start: StartingPoint | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def devices(self) -> float:
        """Number of devices that the trial occupies; a part of a device counts as this part."""
        return self.ranks.workers * self.device_share
