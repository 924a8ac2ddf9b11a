"""The thread that publishes a sweep's progress outside the terminal: to the store, to MLflow and to Ray's metrics."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType

from core.ledger.ledger import Ledger
from core.ledger.progress_text import cost_line, progress_line
from core.records.progress import PERIOD_S, State
from core.sweep.live_table import LiveTable
from core.sweep.ray_metrics import RayMetrics
from core.tracking import SweepTracker
from core.tracking.encode import progress_metrics

TRACKED_EVERY_S = 30.0
"""Seconds between two reports to MLflow, which keeps every value of a metric."""
_logger = logging.getLogger(__name__)


class Publisher:
    """A context manager whose thread publishes the progress every `PERIOD_S` seconds, and once more at the end.

    If a store refuses a report, the progress is published with the next report.
    """

    def __init__(self, table: LiveTable, ledger: Ledger, tracker: SweepTracker, metrics: RayMetrics) -> None:
        self.table, self.ledger, self.tracker, self.metrics = table, ledger, tracker, metrics
        self._done = threading.Event()
        self._tracked_at = -TRACKED_EVERY_S
        self._thread = threading.Thread(target=self._repeat, name="progress", daemon=True)

    def __enter__(self) -> Publisher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(PERIOD_S)
        progress = self.table.live.progress()
        left = progress.running or any((progress.pending or {}).values())
        failed = kind is not None and not issubclass(kind, KeyboardInterrupt)
        self._publish("failed" if failed else "interrupted" if kind or left else "finished")
        self.metrics.close()  # the thread may still be waiting for a store

    def _repeat(self) -> None:
        while not self._done.is_set():
            self._publish("running")
            self._done.wait(PERIOD_S)

    def _publish(self, state: State) -> None:
        progress = self.table.live.progress().model_copy(update={"state": state})
        self.metrics.show(progress)
        if state != "running" or time.monotonic() - self._tracked_at >= TRACKED_EVERY_S:
            self._tracked_at = time.monotonic()
            table = self.table(fresh=state != "running").markdown()
            self.tracker.set_progress(progress_metrics(progress))
            lines = filter(None, (progress.stopped_because, progress_line(progress), cost_line(progress), table))
            self.tracker.set_summary("\n\n".join(lines))
        try:
            self.ledger.write_progress(progress)
        except OSError as error:
            _logger.debug("progress could not be written: %s", error)
