"""Progress lines of an evaluation."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console

from core.ledger.progress_text import duration
from core.records import Measured, Measurement

HEARTBEAT_S = 15.0
"""Least seconds between the last line and a line about the number of finished blocks."""


class Progress:
    """Counts finished blocks, and prints a line at each finished checkpoint and at regular times in between."""

    def __init__(self, console: Console, total: int) -> None:
        self.console, self.total, self.done = console, total, 0
        self._started = self._spoken_at = time.monotonic()

    def advance(self) -> None:
        """Count one finished block."""
        self.done += 1
        now = time.monotonic()
        if now - self._spoken_at >= HEARTBEAT_S:
            left = (now - self._started) / self.done * (self.total - self.done)
            self._say(f"{self.done} of {self.total} blocks done, about {duration(left)} left")

    def finished(self, label: str, found: Sequence[Measurement] | Measured) -> None:
        """Print the results of a checkpoint whose blocks are all finished."""
        if isinstance(found, Measured):
            numbers, images = measured_text(found), found.images
        else:
            numbers, images = ", ".join(f"{m.label} {m.accuracy:.3f}" for m in found), found[0].images
        self._say(f"{label}: {numbers} ({images} images)")

    def _say(self, line: str) -> None:
        self.console.print(line, highlight=False, soft_wrap=True)
        self._spoken_at = time.monotonic()


def measured_text(found: Measured) -> str:
    """The values of a measure in one line."""
    return ", ".join(f"{name} {'not finite' if v is None else f'{v:.4g}'}" for name, v in found.values.items())
