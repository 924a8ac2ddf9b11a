"""The table of a sweep's cells, which is recomputed at a limited cost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from rich.console import RenderableType

from core.records import SweepProgress, TrialRecord
from core.sweep.live_state import LiveState

MAX_CPU_SHARE = 0.02
"""Upper bound on the share of the driver's time that is spent on recomputing the table."""


class CellsTable(Protocol):
    """The cells of a sweep at one moment, ready to be shown."""

    @property
    def height(self) -> int:
        """Number of lines of the whole table."""

    def pages(self, rows: int) -> int:
        """Number of pages of ``rows`` lines that the table needs."""

    def page(self, rows: int, number: int = 0) -> RenderableType:
        """Page ``number``, counted from 0, with at most ``rows`` lines."""

    def whole(self) -> RenderableType:
        """The whole table."""

    def markdown(self) -> str:
        """The whole table in Markdown."""


Tabulate = Callable[[Sequence[TrialRecord], SweepProgress], CellsTable]
"""(records of finished trials, without their traces; progress of the others) -> table of the cells."""


class LiveTable:
    """The latest table of a running sweep. It may be slightly out of date, because many trials make it expensive."""

    def __init__(self, live: LiveState, tabulate: Tabulate) -> None:
        self.live, self.tabulate = live, tabulate
        self._mutex = threading.Lock()
        self._table: CellsTable | None = None
        self._due = 0.0

    def __call__(self, fresh: bool = False) -> CellsTable:
        """The table; with ``fresh`` it is recomputed even if the last computation was recent."""
        with self._mutex:
            started = time.monotonic()
            if self._table is None or fresh or started >= self._due:
                self._table = self.tabulate(self.live.finished, self.live.progress())
                self._due = time.monotonic() + (time.monotonic() - started) / MAX_CPU_SHARE
            return self._table
