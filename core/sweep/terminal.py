"""Live progress of a sweep: a display that is redrawn on a terminal, or plain lines in a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from core.ledger.progress_text import cost_line, log_line, metric_texts, progress_line, running_summary
from core.records import RunningTrial, SweepProgress, TrialRecord
from core.sweep.live_table import LiveTable

BAR_WIDTH = 20
"""Columns of the bar of one trial."""
PAGE_S = 6.0
"""Seconds for which a terminal shows one page of a table that has more lines than the terminal."""
TENTHS_APART_S = 600.0
"""Least seconds between two tables in a log, which shows the table after every tenth of the trials."""


class Display:
    """A context manager that shows the progress of a sweep.

    Args:
        table: the table of the sweep's cells.
        console: the terminal or log.
    """

    def __init__(self, table: LiveTable, console: Console) -> None:
        self.live, self.console, self.table = table.live, console, table
        self._live: Live | None = None
        self._started = self._spoken_at = self._table_at = time.monotonic()
        self._tenth = 0
        self._done = threading.Event()

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._live = Live(
                get_renderable=self._picture,
                console=self.console,
                refresh_per_second=2,
                transient=True,
                vertical_overflow="crop",
            )
            self._live.start()
        else:
            threading.Thread(target=self._heartbeat, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._live:
            self._live.stop()

    def say(self, line: str) -> None:
        """Print a line that stays above the live display."""
        self.console.print(line, highlight=False, soft_wrap=True, markup=False)
        self._spoken_at = time.monotonic()

    def finished(self, record: TrialRecord) -> None:
        """Print how a trial ended."""
        progress = self.live.progress()
        name = self.live.names.of(record)
        self.say(ending(name, record, progress.done, "?" if progress.total is None else str(progress.total)))

    def _heartbeat(self) -> None:
        while not self._done.wait(1.0):
            now = time.monotonic()
            if now - self._spoken_at >= heartbeat_s(now - self._started):
                self.say(log_line(self.live.progress()))
            progress = self.live.progress()
            tenth = 10 * progress.done // progress.total if progress.total else progress.done // 10
            if tenth > self._tenth and now - self._table_at >= TENTHS_APART_S and progress.done != progress.total:
                self._tenth, self._table_at = tenth, now
                self.console.print(self.table().whole())
                self.say(log_line(progress))

    def _lines(self, text: Text) -> int:
        return len(text.wrap(self.console, self.console.width))

    def _picture(self) -> RenderableType:
        progress, table = self.live.progress(), self.table()
        height = self.console.size.height - 1
        texts = Text(progress_line(progress), style="bold"), Text(cost_line(progress))
        head: list[RenderableType] = [_sweep_bar(progress), *texts]
        summary = Text(running_summary(progress.running))
        room = height - 1 - sum(self._lines(text) for text in texts)
        running, lines = cast(RenderableType, summary), self._lines(summary)
        if len(progress.running) <= lines or len(progress.running) + table.height <= room:
            running, lines = _running_table(progress.running), len(progress.running)
        rows = room - lines
        pages = table.pages(rows)
        if pages == 1:
            return Group(*head, running, table.page(rows))
        number = int(time.monotonic() / PAGE_S) % pages
        note = Text(f"cells: page {number + 1} of {pages}", style="dim")
        return Group(*head, running, table.page(rows - 1, number), note)


def heartbeat_s(elapsed: float) -> float:
    """Seconds without output after which a log gets a progress line: 15 s at first, 5 min in a sweep of days."""
    return min(max(15.0, elapsed / 50), 300.0)


def ending(name: str, record: TrialRecord, done: int, total: str) -> str:
    """One line about a finished trial: its name, outcome, the reasons, and the accuracies of the last checkpoint."""
    verdict = record.verdict
    assert verdict is not None
    why = verdict.censor_reason or ", ".join(
        label
        for label, holds in (
            (f"onset at epoch {verdict.onset_epoch}", verdict.onset),
            ("overestimation", verdict.overestimation),
            ("catastrophic", verdict.catastrophic),
        )
        if holds
    )
    last = next((e for e in verdict.evidence if e.checkpoint == "last"), None)
    accuracies = "".join(f", {m.label} {m.accuracy:.3f}" for m in last.measurements) if last else ""
    early = f" (of {record.epochs_planned}: stopped)" if record.stopped_early else ""
    return (
        f"[{done}/{total}] {name}: {verdict.outcome}" + (f" ({why})" if why else "") + f" after {record.epochs_run}"
        f" epochs{early}, {record.device_seconds:.1f} device-s{accuracies}"
    )


def _sweep_bar(progress: SweepProgress) -> Table:
    """The share of the sweep's epochs that are done; a bar without an end if seeds are added adaptively."""
    begun = sum(trial.epoch / trial.epochs for trial in progress.running)
    line = Table.grid(expand=True)  # a bar alone does not end its line
    line.add_row(ProgressBar(total=progress.total, completed=progress.done + begun, pulse=progress.total is None))
    return line


def _running_table(trials: Sequence[RunningTrial]) -> Table:
    """One line for each running trial: its name, a bar of its epochs, and its last metrics."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(width=BAR_WIDTH)
    for trial in trials:
        bar = ProgressBar(total=trial.epochs, completed=trial.epoch, width=BAR_WIDTH)
        table.add_row(Text(trial.title), bar, f"{trial.epoch}/{trial.epochs}", *metric_texts(trial))
    for column in table.columns[2:]:
        column.no_wrap = True
    return table
