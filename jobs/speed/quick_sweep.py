"""How much of the quick sweep's wall time is training or evaluation."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from core.engine.filenames import RECORD
from core.records import TrialRecord
from core.storage import Store
from jobs.speed.result import Goal, Result, Settings

SLOTS = re.compile(r"trials to run, (\d+) at a time")
"""What the driver says of the trials that it runs at once."""


def training_share(settings: Settings) -> Iterator[Result]:
    """Run the quick preset, or read a sweep that was run, and divide.

    The share is ``sum(device_seconds) / (wall * slots)``: device-seconds of all trials (their loops from first epoch
    to verdict: training, evaluation, verdict attacks, checkpoints and waiting for reports to be taken) over the time in
    which the slots - trials that may run at once, times their workers - could have trained. A second share counts only
    what the epochs themselves measured as training and validation, without verdicts.

    A sweep that is run here counts from the command's first moment to its last: Python's imports, Ray's start and end,
    MLflow, and the tail in which the last trial runs alone. One that is read counts from its description, the driver's
    first file, to its last record, and its slots are this machine's CPUs.
    """
    if settings.sweep_dir is not None:
        records, wall, slots = read_sweep(settings.sweep_dir)
        what = f"{settings.sweep_dir.name}, read"
    else:
        settings.say(f"quick-sweep: running the quick preset with {settings.sweep_seeds} seed(s) per cell")
        records, wall, slots = run_sweep(settings.sweep_command, settings.sweep_seeds, settings.say)
        what = f"quick preset, {settings.sweep_seeds} of {settings.quick.entries[0].seeds} seeds per cell"
    note = f"{len(records)} trials in {wall:.0f} s, {slots} at a time"
    whole = (100 * sum(record.device_seconds for record in records) / (wall * slots),)
    epochs = (100 * sum(map(epoch_seconds, records)) / (wall * slots),)
    yield Result(
        "quick-sweep", f"device-seconds of loops / wall time x slots; {what}", whole, "%", Goal(">=", 70), note
    )
    yield Result("quick-sweep", f"training and validation of epochs / the same; {what}", epochs, "%", None, note)


def epoch_seconds(record: TrialRecord) -> float:
    """Device-seconds that a trial's epochs measured as training and validation."""
    workers = int(record.cell["workers"])
    seconds = ((row.get(name) or 0.0) for row in record.trace for name in ("time/train_s", "time/eval_s"))
    return workers * sum(seconds)


def run_sweep(command: Sequence[str], seeds: int, say: Callable[[str], None]) -> tuple[list[TrialRecord], float, int]:
    """Records, wall seconds and slots of a sweep run for this; its own lines are progress.

    Raises:
        RuntimeError: the sweep failed.
    """
    with tempfile.TemporaryDirectory(prefix="unmask-benchmark-", ignore_cleanup_errors=True) as folder:
        options = ["--name", "benchmark", "--seeds", str(seeds), "--storage", folder]
        options += ["--mlflow-uri", f"sqlite:///{folder}/mlflow.db", "--address", "local"]
        lines = []
        started = time.perf_counter()
        with subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                say(f"quick-sweep: {line.rstrip()}")
        wall = time.perf_counter() - started
        printed = "".join(lines)
        found = SLOTS.search(printed)
        if process.returncode or not found:
            raise RuntimeError(f"the quick sweep ended with code {process.returncode}: {printed[-2000:]}")
        return list(_records(Path(folder) / "benchmark").values()), wall, int(found[1])


def read_sweep(folder: Path) -> tuple[list[TrialRecord], float, int]:
    """Records, wall seconds and slots of a sweep in a local folder.

    Raises:
        ValueError: there is none, or it did not run in one go.
    """
    from core.ledger.ledger import DESCRIPTION

    description = folder / DESCRIPTION
    if not description.is_file():
        raise ValueError(f"--sweep-dir {folder}: no sweep there; it must hold {DESCRIPTION}, as results/quick does")
    started = description.stat().st_mtime
    records = _records(folder)
    ends = [(folder / "trials" / key / RECORD).stat().st_mtime for key in records]
    if not ends or min(ends) < started or any(record.attempts > 1 for record in records.values()):
        raise ValueError(f"--sweep-dir {folder}: only a sweep with records that ran in one go has a wall time")
    workers = max(int(record.cell["workers"]) for record in records.values())
    return list(records.values()), max(ends) - started, max(1, (os.cpu_count() or 1) // workers) * workers


def _records(folder: Path) -> dict[str, TrialRecord]:
    from core.ledger.ledger import Ledger

    return Ledger(Store(str(folder.resolve())), folder.name).records()
