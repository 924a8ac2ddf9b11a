"""Runs a sweep on a Ray cluster with Ray Tune and returns what all its trials left behind."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from filelock import FileLock, Timeout
from ray import tune
from rich.console import Console

from core.config import RunOptions, Sweep, Trial, digest
from core.data import check_files
from core.engine.provenance import git_commit
from core.records import TrialRecord
from core.storage import Store
from core.sweep.board import Board
from core.sweep.callback import Backstop, SweepCallback
from core.sweep.cluster import HEAD, HEAD_SHARE, connect, fitting_trials
from core.sweep.display import Display, Summarise, working
from core.sweep.ledger import Ledger
from core.sweep.trainable import run_worker_group
from core.sweep.worker import WorkerTask
from core.tracking import SweepTracker, prepare_store

Markdown = Callable[[Sequence[TrialRecord]], str]


@dataclass(frozen=True)
class SweepResult:
    """What a run of a sweep ended with.

    Attributes:
        records: all finished trials of the sweep, of earlier runs too.
        unfinished: keys of trials without a record.
        interrupted: the run was told to stop.
        untracked: entries that MLflow does not have yet; they wait in the journal.
    """

    records: list[TrialRecord]
    unfinished: list[str]
    interrupted: bool
    untracked: int


def run_sweep(
    sweep: Sweep,
    run: RunOptions,
    *,
    storage: str,
    mlflow_uri: str,
    console: Console,
    summarise: Summarise,
    markdown: Markdown,
) -> SweepResult:
    """Train every trial of the sweep that has no record yet.

    Args:
        sweep: what to train.
        run: where and with what.
        storage: absolute folder or URI; the sweep's files go below its name.
        mlflow_uri: MLflow tracking URI.
        console: where progress goes.
        summarise: table of finished trials for the live display.
        markdown: the same for the parent run's description.

    Raises:
        ValueError: an option cannot work; nothing was started.
    """
    for data in dict.fromkeys(entry.cell.data for entry in sweep.entries):
        check_files(data, run.data_dir)
    store = Store(storage).child(sweep.name)
    store.probe()
    ledger = Ledger(store, sweep.name)
    with _only_driver(store, sweep.name), _scratch() as scratch:
        ledger.enter(sweep)
        uri = prepare_store(mlflow_uri)
        trials = sweep.trials()
        pending = ledger.unfinished(trials)
        finished = {key: record for key, record in ledger.records().items() if key not in {t.key for t in pending}}
        tracker = SweepTracker(
            uri, sweep.name, "unmask", _journal_folder(store), protocol=sweep.protocol, commit=git_commit()
        )
        board = Board(finished, len(pending))
        interrupted = False
        with tracker:
            tracker.reconcile([])
            for record in finished.values():
                tracker.finish_trial(record)
            if pending:
                with Display(board, console, summarise) as display:
                    interrupted = _train(sweep, run, pending, ledger, tracker, display, scratch)
            records = list(ledger.records().values())
            unfinished = [trial.key for trial in ledger.unfinished(trials)]
            for key in board.running:
                tracker.interrupt_trial(key)
            if records:
                tracker.set_summary(markdown(records))
            untracked = tracker.close("KILLED" if interrupted else "FINISHED")
    return SweepResult(records, unfinished, interrupted, untracked)


@contextmanager
def _only_driver(store: Store, name: str) -> Iterator[None]:
    """Hold the sweep's lock, so that no second driver of this machine works on the same trials."""
    folder = Path(tempfile.gettempdir()) / f"unmask-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = FileLock(folder / f"{digest(store.root)}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(
            f"--name {name}: another driver is running this sweep in {store.root}; wait or stop it"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for what Tune and Train write about themselves; nobody needs it afterwards."""
    with tempfile.TemporaryDirectory(prefix="unmask-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _journal_folder(store: Store) -> Path:
    """Local folder of the tracking journal: beside the records, or in the user's home for a remote store."""
    if "://" in store.root:
        return Path.home() / ".unmask" / "journals" / digest(store.root)
    return Path(store.root) / "journal"


def _train(
    sweep: Sweep,
    run: RunOptions,
    pending: list[Trial],
    ledger: Ledger,
    tracker: SweepTracker,
    display: Display,
    scratch: Path,
) -> bool:
    """Run the trials under Tune; True if the run was interrupted."""
    commit = git_commit()
    with working(display.console, "Starting Ray" if not run.address else f"Joining the Ray cluster at {run.address}"):
        connect(run.address)
    concurrent = min(fitting_trials(run, trial.cell.training.workers) for trial in pending)
    display.say(f"{len(pending)} trials to run, {concurrent} at a time")
    tuner = tune.Tuner(
        tune.with_resources(run_worker_group, {"CPU": 0, HEAD: HEAD_SHARE}),
        param_space={"run": tune.grid_search([_config(t, sweep, run, ledger, scratch, commit) for t in pending])},
        tune_config=tune.TuneConfig(max_concurrent_trials=concurrent, trial_dirname_creator=lambda t: t.trial_id),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(scratch),
            verbose=0,
            stop=Backstop(),
            failure_config=tune.FailureConfig(max_failures=run.max_failures),
            callbacks=[
                SweepCallback(ledger, tracker, display.board, display, sweep.protocol.model_dump(mode="json"), commit)
            ],
        ),
    )
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    previous = signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        tuner.fit()
    except KeyboardInterrupt:
        return True
    finally:
        signal.signal(signal.SIGTERM, previous)
        ray.shutdown()
    return bool(display.board.running or display.board.waiting)


def _config(trial: Trial, sweep: Sweep, run: RunOptions, ledger: Ledger, scratch: Path, commit: str) -> dict[str, Any]:
    task = WorkerTask(
        trial=trial.model_dump(mode="json"),
        protocol=sweep.protocol.model_dump(mode="json"),
        sweep=sweep.name,
        store=ledger.trial_store(trial.key).root,
        data_dir=str(run.data_dir.resolve()),
        commit=commit,
        checkpoint_s=float(run.checkpoint_s),
        timeout_s=None if run.trial_timeout_s is None else float(run.trial_timeout_s),
    )
    return {
        "task": task,
        "workers": trial.cell.training.workers,
        "cpus": run.cpus_per_worker,
        "gpus": run.gpus_per_worker,
        "max_failures": run.max_failures,
        "scratch": str(scratch),
    }
