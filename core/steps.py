"""The progress of a job in steps: a bar on a terminal, and one short line at a time in a log."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from core.quantity import duration

LINE_EVERY_S = 15.0
"""Least seconds between the last line of a log and a line about the number of finished steps."""


class Steps:
    """A context manager that shows how many steps of a job are done.

    Args:
        console: the terminal or log.
        unit: what is counted, such as ``blocks``.
        total: the number of steps.
    """

    def __init__(self, console: Console, unit: str, total: int) -> None:
        self.console, self.unit, self.total, self.done = console, unit, total, 0
        self._started = self._spoken_at = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[beside]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(unit, total=total, left="", beside="")

    def __enter__(self) -> Steps:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, beside: str) -> None:
        """Show beside the bar what is being done."""
        self._bar.update(self._task, beside=beside)

    def advance(self) -> None:
        """Count one finished step."""
        self.done += 1
        now = time.monotonic()
        # Rich's own estimate counts the last seconds only, in which steps that run beside each other end together.
        left = f"about {duration((now - self._started) / self.done * (self.total - self.done))} left"
        self._bar.update(self._task, advance=1, left=left)
        if not self.console.is_terminal and now - self._spoken_at >= LINE_EVERY_S and self.done < self.total:
            self.say(f"{self.done} of {self.total} {self.unit} done, {left}")

    def say(self, line: str) -> None:
        """Print a line that stays above the bar."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)
        self._spoken_at = time.monotonic()
