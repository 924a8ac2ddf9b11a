"""Metrics of the project among Ray's own metrics, for Prometheus and for Grafana in the Ray dashboard.

Ray adds the prefix ``ray_`` to each name, and the suffix ``_total`` to counters where Prometheus requires it.
"""

from __future__ import annotations

import threading

from ray.util.metrics import Counter, Gauge

from core.records import SweepProgress, TrialRecord


class RayMetrics:
    """The metrics that a sweep's driver exports. Ray must be initialised until `close` is called."""

    def __init__(self, sweep: str) -> None:
        self._tags = {"sweep": sweep}
        self._open = True
        self._showing = threading.Lock()
        keys = ("sweep",)
        self._trials = Counter("unmask_trials", "Trials that ended, by outcome.", (*keys, "outcome"))
        self._epochs = Counter("unmask_epochs", "Epochs that trials reported.", keys)
        self._device_seconds = Counter(
            "unmask_device_seconds", "Device-seconds of reported epochs (training and validation).", keys
        )
        self._restarts = Counter("unmask_restarts", "Trials started again after a crash or a long silence.", keys)
        self._running = Gauge("unmask_trials_running", "Trials that are training.", keys)
        self._pending = Gauge("unmask_trials_pending", "Trials that wait.", keys)

    def started(self, attempt: int) -> None:
        """Count a restart if this is not the trial's first attempt."""
        if attempt > 1:
            self._restarts.inc(1, self._tags)

    def reported(self, epochs: int, device_seconds: float) -> None:
        """Count epochs that a trial reported, and their device-seconds."""
        self._epochs.inc(epochs, self._tags)
        if device_seconds:
            self._device_seconds.inc(device_seconds, self._tags)

    def ended(self, record: TrialRecord) -> None:
        """Count a trial that ended, by its outcome."""
        assert record.verdict is not None
        self._trials.inc(1, {**self._tags, "outcome": record.verdict.outcome})

    def show(self, progress: SweepProgress) -> None:
        """Set the numbers of running and waiting trials, from any thread. After `close` nothing happens."""
        with self._showing:
            if not self._open:
                return
            self._running.set(len(progress.running), self._tags)
            if progress.pending is not None:
                self._pending.set(sum(progress.pending.values()), self._tags)

    def close(self) -> None:
        """Stop using Ray, which ends a process that uses it after its shutdown."""
        with self._showing:
            self._open = False
