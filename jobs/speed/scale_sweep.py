"""A sweep of many trials that train nothing, run by the real driver."""

from __future__ import annotations

import io
import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from core.config import Cell, ProtocolOptions, RunOptions, SeededCell, Sweep, Trial
from core.engine.filenames import RECORD
from core.records import Evidence, Measurement, TrialRecord, Verdict
from core.storage import Store

TabulateCells = Callable[[Sequence[Any], Any, Mapping[str, Any]], Any]
BETAS = tuple(range(1, 11))
EPOCHS = 5
ATTACKS = ("clean", "fgsm", "pgd-10", "pgd-50x5", "square")


class DriverCost(NamedTuple):
    """Cost of a sweep of empty trials, without Ray's start and end, which do not depend on the number of trials."""

    seconds: float
    """Seconds from the start of the first trial to the end of the last trial."""
    written: float
    """Seconds from the end of the last trial until MLflow has everything."""
    cpu: float
    """CPU-seconds of all threads of the driver's process."""
    megabytes: float
    """Peak memory of the driver's process in MB."""
    files: int
    """Number of files: records, and MLflow's database and artifacts."""
    stored: float
    """Size of these files in MB."""


def run_empty_sweep(tabulate: TabulateCells, trials: int) -> DriverCost:
    """Run a sweep of ten cells by the real driver, on a local cluster, tracked in a SQLite database.

    Args:
        tabulate: makes the table of cells that the sweep command shows.
        trials: number of trials, a multiple of 10.
    """
    from core.sweep.driver import run_sweep
    from core.sweep.output import Output

    cells = [Cell.from_flat({"beta": beta, "epochs": EPOCHS}) for beta in BETAS]
    flat = {cell.id: cell.flat() for cell in cells}
    entries = tuple(SeededCell(cell=cell, seeds=trials // len(cells)) for cell in cells)
    sweep = Sweep(name="empty", preset="none", entries=entries, protocol=ProtocolOptions())
    with tempfile.TemporaryDirectory(prefix="unmask-benchmark-", ignore_cleanup_errors=True) as folder:
        log = Stopwatch()
        output = Output(
            storage=folder,
            mlflow_uri=f"sqlite:///{folder}/mlflow.db",
            console=Console(file=log, width=120),
            tabulate=lambda records, progress: tabulate(records, progress, flat),
            markdown=lambda records: f"{len(records)} trials",
        )
        cpu = time.process_time()
        result = run_sweep(sweep, RunOptions(address="local"), output, trainable=record_at_once)
        ended, cpu = time.perf_counter(), time.process_time() - cpu
        if result.unfinished or result.untracked or len(result.records) != trials:
            raise RuntimeError(f"{trials} empty trials left {len(result.records)} records: {log.getvalue()[-2000:]}")
        found = [path for path in Path(folder).rglob("*") if path.is_file()]
        return DriverCost(
            seconds=log.last_end - log.first_start,
            written=ended - log.last_end,
            cpu=cpu,
            megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            files=len(found),
            stored=sum(path.stat().st_size for path in found) / 1e6,
        )


class Stopwatch(io.StringIO):
    """A log that records the times at which the first trial started and the last trial ended."""

    first_start = last_end = 0.0

    def write(self, text: str) -> int:
        """Write a line, and record its time if a trial started or ended."""
        if "trials to run" in text:
            self.first_start = time.perf_counter()
        if text.startswith("["):
            self.last_end = time.perf_counter()
        return super().write(text)


def record_at_once(config: dict[str, Any]) -> None:
    """A Tune trial that reports five made-up epochs at once and writes a record."""
    from ray import tune

    task = config["run"]["task"]
    trial = Trial.model_validate(task["trial"])
    rows = [{"epoch": e, "val/pgd10_acc": 0.3, "val/fosc": 0.4, "time/train_s": 0.0} for e in range(1, EPOCHS + 1)]
    tune.report({"epoch": EPOCHS, "rows": rows, "decided": False})
    unstable = trial.seed % 3 == 0
    accuracies = tuple(
        Measurement(attack=attack, accuracy=0.1 if unstable else 0.3, images=400, split="test") for attack in ATTACKS
    )
    record = TrialRecord(
        sweep=task["sweep"],
        **trial.record_fields(),
        protocol=task["protocol"],
        verdict=Verdict(
            outcome="unstable" if unstable else "stable",
            onset=unstable,
            evidence=tuple(Evidence(checkpoint=c, epoch=EPOCHS, measurements=accuracies) for c in ("selected", "last")),
        ),
        epochs_run=EPOCHS,
        trace=rows,
        device_seconds=0.01,
    )
    Store(task["store"]).write(RECORD, record.to_json())
