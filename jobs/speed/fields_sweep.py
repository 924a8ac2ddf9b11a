"""The share of training and evaluation in the wall time of a fields-quick sweep."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from core.engine.filenames import CRASH, RECORD
from core.records import TrialRecord
from core.storage import Store
from jobs.speed.result import Goal, Result, Settings

SLOTS = re.compile(r"trials to run, (\d+) at a time")
"""The driver's line with the number of trials that it runs at once."""


def training_share(settings: Settings) -> Iterator[Result]:
    """Run the preset fields-quick, or read a finished sweep, and compute the share of its trials in the wall time.

    The share is ``sum(device_seconds) / (wall * slots)``. The device-seconds of a trial cover all of it: set-up,
    training, evaluation, verdict attacks, checkpoints, and waiting until reports are received.
    The slots are the trials that may run at once, times their workers. A second share counts only the training and
    validation time that the epochs measured, without verdicts.

    The wall time of a sweep that is run here is that of the whole command: Python's imports, Ray's start and end,
    MLflow, and the end of the sweep, when the last trial runs alone. The wall time of a sweep that is read lasts from
    its description, the driver's first file, to its last record, and its slots are this machine's CPUs.
    """
    if settings.sweep_dir is not None:
        records, wall, slots = read_sweep(settings.sweep_dir)
        what = f"{settings.sweep_dir.name}, read"
    else:
        settings.say(f"fields-sweep: running the preset fields-quick with {settings.sweep_seeds} seed(s) per cell")
        records, wall, slots = run_sweep(settings.sweep_command, settings.sweep_seeds, settings.say)
        what = f"fields-quick, {settings.sweep_seeds} of {settings.fields.entries[0].seeds} seeds per cell"
    note = f"{len(records)} trials in {wall:.0f} s, {slots} at a time"
    whole = (100 * sum(record.device_seconds for record in records) / (wall * slots),)
    epochs = (100 * sum(map(epoch_seconds, records)) / (wall * slots),)
    yield Result(
        "fields-sweep",
        f"device-seconds of trials, set-up included / wall time x slots; {what}",
        whole,
        "%",
        Goal(">=", 70),
        note,
    )
    yield Result("fields-sweep", f"training and validation of epochs / the same; {what}", epochs, "%", None, note)


def epoch_seconds(record: TrialRecord) -> float:
    """Device-seconds that a trial's epochs measured as training and validation."""
    workers = int(record.cell["workers"])
    seconds = ((row.get(name) or 0.0) for row in record.trace for name in ("time/train_s", "time/eval_s"))
    return workers * sum(seconds)


def run_sweep(command: Sequence[str], seeds: int, say: Callable[[str], None]) -> tuple[list[TrialRecord], float, int]:
    """Run a sweep, printing its output as progress, and return its records, wall seconds and slots.

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
                say(f"fields-sweep: {line.rstrip()}")
        wall = time.perf_counter() - started
        printed = "".join(lines)
        found = SLOTS.search(printed)
        if process.returncode or not found:
            raise RuntimeError(f"the fields-quick sweep ended with code {process.returncode}: {printed[-2000:]}")
        return list(_records(Path(folder) / "benchmark").values()), wall, int(found[1])


def read_sweep(folder: Path) -> tuple[list[TrialRecord], float, int]:
    """Records, wall seconds and slots of a sweep in a local folder.

    Raises:
        ValueError: the folder holds no sweep, or the sweep was interrupted.
    """
    from core.ledger.ledger import DESCRIPTION

    description = folder / DESCRIPTION
    if not description.is_file():
        raise ValueError(
            f"--sweep-dir {folder}: is not the folder of a sweep; it must hold {DESCRIPTION}, as results/quick does"
        )
    started = description.stat().st_mtime
    records = _records(folder)
    files = [folder / "trials" / key / name for key in records for name in (RECORD, CRASH)]
    ends = [file.stat().st_mtime for file in files if file.is_file()]
    if not ends or min(ends) < started or any(record.attempts > 1 for record in records.values()):
        raise ValueError(
            f"--sweep-dir {folder}: the sweep has no records or was interrupted, and therefore has no wall time"
        )
    workers = max(int(record.cell["workers"]) for record in records.values())
    return list(records.values()), max(ends) - started, max(1, (os.cpu_count() or 1) // workers) * workers


def _records(folder: Path) -> dict[str, TrialRecord]:
    from core.ledger.ledger import Ledger

    return Ledger(Store(str(folder.resolve())), folder.name).records()
