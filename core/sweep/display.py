"""Live progress: a table that redraws itself on a terminal, plain lines in a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from core.records import TrialRecord
from core.sweep.board import Board, Running

Summarise = Callable[[Sequence[TrialRecord]], RenderableType]
HEARTBEAT_S = 15.0
SHOWN_METRICS = {"clean": "val/clean_acc", "pgd10": "val/pgd10_acc", "fosc": "val/fosc", "sgcs": "val/sgcs"}


class Display:
    """Shows a board until it is left.

    Args:
        board: what to show.
        console: where to.
        summarise: the table of finished trials by cell.
    """

    def __init__(self, board: Board, console: Console, summarise: Summarise) -> None:
        self.board, self.console, self.summarise = board, console, summarise
        self._live: Live | None = None
        self._spoken_at = time.monotonic()
        self._done = threading.Event()

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._live = Live(get_renderable=self._picture, console=self.console, refresh_per_second=2, transient=True)
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
        """A line that stays."""
        self.console.print(line, highlight=False, soft_wrap=True)
        self._spoken_at = time.monotonic()

    def finished(self, record: TrialRecord) -> None:
        """Say how a trial ended."""
        self.say(ending(record, len(self.board.finished), self._total))

    @property
    def _total(self) -> str:
        board = self.board
        return "?" if board.waiting is None else str(len(board.finished) + len(board.running) + board.waiting)

    def _heartbeat(self) -> None:
        while not self._done.wait(1.0):
            if time.monotonic() - self._spoken_at >= HEARTBEAT_S:
                self.say("; ".join([self._headline(), *(_line(state) for state in list(self.board.running.values()))]))

    def _headline(self) -> str:
        board = self.board
        eta = "" if board.eta_seconds is None else f", about {duration(board.eta_seconds)} left"
        return (
            f"{len(board.finished)} of {self._total} trials done, {len(board.running)} running, "
            f"{'more' if board.waiting is None else board.waiting} waiting, {duration(board.seconds)} passed{eta}"
        )

    def _picture(self) -> RenderableType:
        running = Table.grid(padding=(0, 2))
        for state in list(self.board.running.values()):
            running.add_row(*_cells(state))
        finished = list(self.board.finished.values())
        return Group(Text(self._headline(), style="bold"), running, self.summarise(finished) if finished else "")


@contextmanager
def working(console: Console, what: str) -> Iterator[None]:
    """Say what takes a moment, and how long it took."""
    started = time.monotonic()
    console.print(f"{what} ...", highlight=False, soft_wrap=True)
    yield
    console.print(f"{what} ... done in {time.monotonic() - started:.1f} s", highlight=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 20 s``, ``5 h 10 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"


def ending(record: TrialRecord, done: int, total: str) -> str:
    """One line on a finished trial: outcome, why, and the accuracies behind it."""
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
    accuracies = "".join(f", {m.attack} {m.accuracy:.3f}" for m in last.measurements) if last else ""
    early = f" (of {record.epochs_planned}: stopped)" if record.stopped_early else ""
    return (
        f"[{done}/{total}] {record.key} {verdict.outcome}"
        + (f" ({why})" if why else "")
        + f" after {record.epochs_run}"
        f" epochs{early}, {record.device_seconds:.1f} device-s{accuracies}"
    )


def _cells(state: Running) -> tuple[str, ...]:
    row = state.row
    shown = [f"{label} {value:.2f}" for label, name in SHOWN_METRICS.items() if (value := row.get(name)) is not None]
    return (state.trial.key, f"epoch {state.epoch}/{state.trial.cell.training.epochs}", *shown)


def _line(state: Running) -> str:
    return " ".join(_cells(state))
