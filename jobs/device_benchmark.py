"""Measure this machine's GPU, or its CPU, in rows that need neither Ray nor MLflow.

    python jobs/device_benchmark.py --out measured                 # all rows, the most important first
    python jobs/device_benchmark.py --out measured --device cpu    # the same rows in sizes for a CPU: a second column
    python jobs/device_benchmark.py --out measured --only step verdict

Each row runs in a process of its own and writes DEVICE-ROW.json after every measurement. The command can therefore be
ended at any time, and an error in a row does not end the others. Needed packages: torch (2.11 or newer), numpy,
pydantic, PyYAML, rich and pyautoattack.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # the project need not be installed
    sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402

from core.command.exit_codes import DONE, FAILED, run_job  # noqa: E402
from core.command.help_page import read_flags  # noqa: E402
from core.config.flags import Flag, FlagGroup  # noqa: E402
from jobs.speed.device.rows import ROWS  # noqa: E402

MINUTES = 8.0
DEVICES = ("cuda", "cpu")
MODULE = ["-m", "jobs.speed.device.run_row"]
GROUPS = (
    FlagGroup(
        "device-benchmark",
        "the rows to measure, and where",
        (
            Flag("out", "folder of the measurements; rows that it has are measured again", required=True),
            Flag("only", "rows to measure, in this order", "many", " | ".join(ROWS), "default: all"),
            Flag("device", "device to measure", "one", " | ".join(DEVICES), "default: cuda if there is a GPU"),
            Flag("minutes", "longest time of one row", "one", "0.1 to 60", f"default: {MINUTES:g}"),
        ),
    ),
)


class DeviceRequest(NamedTuple):
    """What the command line asks for. Without a device, a GPU is measured if there is one."""

    out: Path
    rows: tuple[str, ...]
    device: str | None
    minutes: float


def main(args: Sequence[str]) -> int:
    """Measure and print. Exit code: 0 done, 1 a row failed, 2 bad input, 130 interrupted."""
    return run_job(lambda: measure(read_request(args)))


def read_request(args: Sequence[str]) -> DeviceRequest:
    """Read the request from the command line.

    Raises:
        ValueError: options are wrong; the message has one line for each.
    """
    given = read_flags(GROUPS, args, __doc__ or "")
    rows = given.get("only", tuple(ROWS))
    if unknown := [name for name in rows if name not in ROWS]:
        raise ValueError(f"--only {' '.join(unknown)}: allowed are {', '.join(ROWS)}")
    device = given.get("device")
    if device is not None and device not in DEVICES:
        raise ValueError(f"--device {device}: allowed are {', '.join(DEVICES)}")
    minutes = _number(given.get("minutes", str(MINUTES)))
    if not 0.1 <= minutes <= 60:
        raise ValueError(f"--minutes {given['minutes']}: must be a number from 0.1 to 60")
    out = Path(given["out"])
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: must be a folder")
    return DeviceRequest(out, tuple(rows), device, minutes)


def measure(request: DeviceRequest) -> int:
    """Run each row in a process, and print the table of all measurements in the folder."""
    import torch

    from jobs.speed.device.table import table

    has_gpu = torch.cuda.is_available()
    if request.device == "cuda" and not has_gpu:
        raise ValueError("--device cuda: this machine has no GPU that torch can use; allowed is cpu")
    device = request.device or ("cuda" if has_gpu else "cpu")
    request.out.mkdir(parents=True, exist_ok=True)
    console = Console(width=None if sys.stdout.isatty() else 200)
    count, limit = len(request.rows), request.minutes
    console.print(f"{count} row(s) on {device}, each at most {limit:g} min, {count * limit:g} min in all at most")
    failed = [row for row in request.rows if not run_row(row, device, request.out, 60 * limit, console)]
    console.print(table(request.out))
    if failed:
        console.print(f"Not finished: {', '.join(failed)}. What they measured is kept.")
    return FAILED if failed else DONE


def run_row(row: str, device: str, out: Path, seconds: float, console: Console) -> bool:
    """Measure one row in a process; False if it failed or had to be ended."""
    started = time.monotonic()
    console.print(f"{row}: {ROWS[row].about}", highlight=False)
    command = [sys.executable, *MODULE, row, device, str(out.resolve()), f"{0.9 * seconds:g}"]
    # A session of its own, because a row may have started processes that have to end with it.
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        code = -1
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    console.print(f"{row}: {'ended ' * (code < 0)}after {time.monotonic() - started:.0f} s", highlight=False)
    return code == 0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
