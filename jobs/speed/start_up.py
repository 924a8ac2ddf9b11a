"""Start-up cost of the jobs: CPU-seconds of the help, of wrong input, and of a sweep's status."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import jobs
from core.ledger.ledger import Ledger
from core.storage import Store
from jobs.speed.result import Goal, Result, Settings

JOBS = Path(jobs.__file__).parent
GOAL = Goal("<=", 1.5)
HELPS = (
    "sweep_trades",
    "report",
    "status",
    "evaluate",
    "check",
    "export",
    "sync_mlflow",
    "coverage",
    "benchmark",
    "device_benchmark",
)


def start_up_costs(settings: Settings) -> Iterator[Result]:
    """Run each command as a process, and measure its user and system time, which depend little on other processes."""
    with tempfile.TemporaryDirectory(prefix="unmask-") as folder:
        Ledger(Store(folder).child("begun"), "begun").enter(settings.fields)
        commands = {f"{name}.py --help": (0, [f"{name}.py", "--help"]) for name in HELPS}
        commands["sweep_trades.py with a wrong option"] = 2, ["sweep_trades.py", "--epochs", "0"]
        commands["status.py of a sweep that has just begun"] = 0, ["status.py", "--sweep", "begun", "--storage", folder]
        for name, more in {"report": [], "evaluate": [], "export": ["--trial", "0"]}.items():
            unknown = ["--sweep", "other", *more, "--storage", folder]
            commands[f"{name}.py of an unknown sweep"] = 2, [f"{name}.py", *unknown]
        for name, option in {"evaluate": "--checkpoint", "check": "--weights"}.items():
            commands[f"{name}.py of a missing file"] = 2, [f"{name}.py", option, f"{folder}/missing.pt"]
        commands["sweep_trades.py without the files of its data set"] = (
            2,
            [*("sweep_trades.py", "--preset", "cifar10", "--data-dir", folder, "--storage", folder)],
        )
        Path(folder, "text.pt").write_text("no network")
        commands["check.py of a file that is no network"] = 2, ["check.py", "--weights", f"{folder}/text.pt"]
        commands["coverage.py with a wrong option"] = 2, ["coverage.py", "--sweeps", "-1"]
        for what, (code, command) in commands.items():
            settings.say(f"start-up: {what}")
            values = tuple(cpu_seconds(command, code) for _ in range(settings.repeats))
            yield Result("start-up", what, values, "CPU-s", GOAL)


def cpu_seconds(command: Sequence[str], code: int) -> float:
    """User and system time of a job in seconds.

    Raises:
        RuntimeError: the job did not end with the exit code ``code``.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run([sys.executable, JOBS / command[0], *command[1:]], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode != code:
        raise RuntimeError(f"{' '.join(command)} ended with code {ended.returncode}: {ended.stderr.decode()[-1000:]}")
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
