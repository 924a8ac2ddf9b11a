"""Print the state of a sweep. Only its storage is read; neither Ray nor MLflow is needed.

    python jobs/status.py --sweep quick
    python jobs/status.py --sweep mine --storage s3://bucket/results --price 2.5
    python jobs/status.py --sweep quick --watch                    # until the sweep ends

Finished trials are read from their records. Running trials are shown as the sweep's driver last reported them; it
reports every 15 seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from analysis.questions.cell_progress import sweep_cells
from analysis.report.tables.progress_table import ProgressTable
from core.command.exit_codes import DONE, INTERRUPTED, run_job
from core.command.help_page import read_flags
from core.config import ClusterOptions, StorageOptions, validated
from core.config.default_paths import storage_root
from core.config.flags import Flag, FlagGroup, model_flags
from core.config.names import checked_name
from core.ledger.progress_text import cost_line, progress_line, running_line, running_summary
from core.ledger.snapshot import SweepReader, stored_sweep
from core.quantity import duration, quantity
from core.records import SweepProgress

MAX_LISTED = 8
"""Largest number of running trials that are listed; more trials are summarised."""
WATCH_S = 5.0
"""Seconds between two updates of ``--watch``."""
GROUPS = (
    FlagGroup(
        "status",
        "the sweep to show",
        (
            Flag("sweep", "name of the sweep", required=True),
            *model_flags(StorageOptions, {"storage"}),
            Flag("price", "price of one device-hour", allowed="0 <= x", value="default: the sweep's own --price"),
            Flag("watch", "print the state every 5 seconds until the sweep ends", "switch"),
        ),
    ),
)


class StatusRequest(NamedTuple):
    """What the command line asks for."""

    sweep: str
    storage: str
    price: float | None
    watch: bool


def main(args: list[str]) -> int:
    """Parse, read, print. Exit code: 0 done, 2 bad input or storage error, 130 interrupted."""

    def job() -> int:
        try:
            watch(read_request(args), Console(width=None if sys.stdout.isatty() else 120))
        except KeyboardInterrupt:  # Ctrl-C ends --watch
            return INTERRUPTED
        return DONE

    return run_job(job)


def read_request(args: list[str]) -> StatusRequest:
    """Read the request from the command line.

    Raises:
        ValueError: options are wrong; the message has one line for each.
    """
    given = read_flags(GROUPS, args, __doc__ or "")
    asked = validated(ClusterOptions, {"price": given["price"]} if "price" in given else {})
    sweep = checked_name("--sweep", given["sweep"])
    return StatusRequest(sweep, storage_root(given.get("storage")), asked.price, given.get("watch", False))


def watch(request: StatusRequest, console: Console) -> None:
    """Print the state of the sweep, once or until it ends."""
    shown = states(request)
    if not request.watch:
        console.print(next(shown)[0])
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        for state, alive in shown:
            if console.is_terminal:
                live.update(state, refresh=True)
            else:
                console.print(state, end="\n\n")  # an empty line between two states
            if not alive:
                return
            time.sleep(WATCH_S)


def states(request: StatusRequest) -> Iterator[tuple[RenderableType, bool]]:
    """Yield the state of the sweep, and whether its driver is running, without end.

    Raises:
        ValueError: the sweep does not exist.
    """
    reader = SweepReader(stored_sweep(request.storage, request.sweep), traces=False)
    while True:
        snapshot = reader.read()
        progress = snapshot.progress
        if progress is not None and request.price is not None:
            progress = progress.model_copy(update={"price": request.price})
        table = ProgressTable(
            sweep_cells(snapshot.finished, progress, snapshot.description.cells, snapshot.description.plans)
        ).whole()
        lines = _lines(request.sweep, progress, len(snapshot.finished), time.time())
        yield Group(*map(Text, lines), table), snapshot.alive


def _lines(sweep: str, progress: SweepProgress | None, records: int, now: float) -> Iterator[str]:
    if progress is None:
        yield f"Sweep {sweep}: {quantity(records, 'trial')} ended; no driver has reported running or waiting trials."
        return
    driver = f"the driver on {progress.host} (process {progress.pid})"
    age = f"{duration(max(0.0, progress.age_s(now)))} ago"
    match progress.state:
        case "running" if progress.is_alive(now):
            yield f"Sweep {sweep}: {driver} is running; last report {age}"
        case "running":
            yield (
                f"Sweep {sweep}: {driver} last reported {age}: it has died, or it can't reach the storage. "
                "If it has died, run the sweep's command again to continue."
            )
        case "interrupted" if progress.stopped_because:
            yield f"Sweep {sweep}: {driver} ended {age}. {progress.stopped_because}"
        case "interrupted" | "failed" as state:
            ended = "failed" if state == "failed" else "was interrupted"
            yield f"Sweep {sweep}: {driver} {ended} {age}; run the sweep's command again to continue."
        case "finished":
            yield f"Sweep {sweep}: finished {age}"
    yield progress_line(progress)
    yield cost_line(progress)
    if len(progress.running) > MAX_LISTED:
        yield running_summary(progress.running)
    else:
        yield from map(running_line, progress.running)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
