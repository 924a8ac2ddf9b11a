"""The table of a sweep's cells, made again as often as is cheap."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from rich.console import RenderableType

from core.records import SweepProgress, TrialRecord
from core.sweep.live_state import LiveState

MAX_CPU_SHARE = 0.02
"""Of this process's time, spent on rates and their intervals at most."""


class CellsTable(Protocol):
    """The cells of a sweep at one moment, ready to be shown."""

    @property
    def height(self) -> int:
        """Lines of the whole table."""

    def pages(self, rows: int) -> int:
        """On how many pages of ``rows`` lines it is."""

    def page(self, rows: int, number: int = 0) -> RenderableType:
        """One page, ``rows`` lines high at most."""

    def whole(self) -> RenderableType:
        """All of it."""

    def markdown(self) -> str:
        """All of it in Markdown."""


Tabulate = Callable[[Sequence[TrialRecord], SweepProgress], CellsTable]
"""From the records of ended trials, without their traces, and what the driver knows of the others."""


class LiveTable:
    """The newest table of a live. It may be a little old: the more trials, the longer one takes to make."""

    def __init__(self, live: LiveState, tabulate: Tabulate) -> None:
        self.live, self.tabulate = live, tabulate
        self._mutex = threading.Lock()
        self._table: CellsTable | None = None
        self._due = 0.0

    def __call__(self, fresh: bool = False) -> CellsTable:
        """The table; ``fresh``: as of now, whatever it costs."""
        with self._mutex:
            started = time.monotonic()
            if self._table is None or fresh or started >= self._due:
                self._table = self.tabulate(self.live.finished, self.live.progress())
                self._due = time.monotonic() + (time.monotonic() - started) / MAX_CPU_SHARE
            return self._table
