"""The project's counters among Ray's own metrics, for Prometheus and the Ray dashboard's Grafana.

Ray puts ``ray_`` before each name, and ``_total`` behind counters where Prometheus wants it.
"""

from __future__ import annotations

from ray.util.metrics import Counter, Gauge

from core.records import SweepProgress, TrialRecord


class RayMetrics:
    """Metrics of one sweep, from its driver; Ray must be initialised."""

    def __init__(self, sweep: str) -> None:
        self._tags = {"sweep": sweep}
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
        """A trial started."""
        if attempt > 1:
            self._restarts.inc(1, self._tags)

    def reported(self, epochs: int, device_seconds: float) -> None:
        """A trial reported epochs."""
        self._epochs.inc(epochs, self._tags)
        if device_seconds:
            self._device_seconds.inc(device_seconds, self._tags)

    def ended(self, record: TrialRecord) -> None:
        """A trial ended."""
        assert record.verdict is not None
        self._trials.inc(1, {**self._tags, "outcome": record.verdict.outcome})

    def show(self, progress: SweepProgress) -> None:
        """How many run and wait."""
        self._running.set(len(progress.running), self._tags)
        if progress.pending is not None:
            self._pending.set(sum(progress.pending.values()), self._tags)
