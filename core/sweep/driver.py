"""The driver of a sweep: it trains the open trials on a Ray cluster and returns all records."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from core.checkpoints.inputs import require_inputs
from core.config import RunOptions, Sweep
from core.config.naming import TrialNames
from core.data.load import check_files, download_files
from core.garbage import collection_paused
from core.ledger.description import read_description
from core.ledger.driver_lock import driver_lock
from core.ledger.ledger import Ledger
from core.ledger.snapshot import SweepReader
from core.records import TrialRecord
from core.steps import Steps
from core.storage import Store
from core.storage.hidden_keys import HiddenKeys
from core.sweep.halt import Stop
from core.sweep.output import Output
from core.sweep.scratch_folder import scratch_folder
from core.sweep.trainable import tune_trial
from core.sweep.training import Adaptive, Training
from core.sweep.trial_rights import open_role
from core.tracking import creates_database, open_tracker


@dataclass(frozen=True)
class SweepResult:
    """The result of one run of a sweep.

    Attributes:
        records: records of all finished trials of the sweep, including those of earlier runs.
        trials: these records, and records with status ``running`` of open trials, which decide what may be counted.
        unfinished: keys of the trials that were to be trained and have no record.
        interrupted: True if the run was interrupted.
        stop: why the driver ended the sweep before all trials were done, or None.
        untracked: what MLflow lacks of the sweep, and why; empty if MLflow has everything.
        links: addresses, relative to MLflow's user interface, of the sweep's page and of the view of its trials; None
            if MLflow did not answer.
    """

    records: list[TrialRecord]
    trials: list[TrialRecord]
    unfinished: list[str]
    interrupted: bool
    stop: Stop | None
    untracked: str
    links: tuple[str, str] | None


def run_sweep(
    sweep: Sweep,
    run: RunOptions,
    output: Output,
    adaptive: Adaptive | None = None,
    max_device_hours: float | None = None,
    trainable: Callable[[dict[str, Any]], None] = tune_trial,
) -> SweepResult:
    """Train every trial of the sweep that has no record yet.

    Args:
        sweep: the cells, seeds and protocol.
        run: the cluster, its resources and the folder of the data sets.
        output: destinations of the results.
        adaptive: the goal of an adaptive sweep; None if the number of seeds is fixed.
        max_device_hours: device-hours, of earlier runs too, at which a sweep of fixed seeds ends; None: no limit.
        trainable: the function that Tune runs for each trial.

    Raises:
        ValueError: an option cannot work; no trial was started.
    """
    require_inputs(sweep)
    role = open_role(sweep, run, output.storage)
    needed = dict.fromkeys(entry.cell.data for entry in sweep.entries)
    for data in needed if run.download else ():
        download_files(data, run.data_dir)  # torchvision shows its own progress
    with Steps(output.console, "data sets", len(needed)) as steps:
        for data in needed:
            steps.begin(data.dataset)
            check_files(data, run.data_dir)
            steps.advance()
    patience_s = 60 * float(run.wait_for_servers)
    store = Store(output.storage).child(sweep.name).with_retry_limit(patience_s)
    store.probe(lambda line: output.console.print(line, highlight=False, soft_wrap=True, markup=False))
    names = TrialNames(entry.cell.flat() for entry in sweep.entries)
    with (
        driver_lock(store, sweep.name, patience_s) as lease,
        scratch_folder() as scratch,
        HiddenKeys() as keys,
    ):
        if role:
            keys.hide()  # before a local cluster starts, whose processes would inherit them
        ledger = Ledger(store.guarded(lease.check, patience_s), sweep.name)
        ledger.describe(sweep)
        known = ledger.records()
        ledger.delete_leftovers_of_kills(known)
        training = Training(
            sweep=sweep,
            run=run,
            storage=output.storage,
            ledger=ledger,
            records=known,
            scratch=scratch,
            adaptive=adaptive,
            max_device_hours=max_device_hours,
            trainable=trainable,
            lease=lease,
            role=role,
            keys=keys,
        )
        with ThreadPoolExecutor(1) as beside, collection_paused():
            opening = beside.submit(
                open_tracker, output.mlflow_uri, ledger, sweep.protocol, names, known.values(), training=True
            )
            if not creates_database(output.mlflow_uri):
                opening.result()  # what is wrong with an existing store is said before anything starts
            # Otherwise the database is created beside Ray's start, which mostly waits.
            try:
                training.join(output.console)
                tracker = opening.result()
            except BaseException:
                training.leave()
                raise
            keys.show()
        del known  # the complete traces of all records take much memory
        with tracker:
            interrupted = training.run(tracker, output)
            trials = stored_trials(ledger)
            records = [trial for trial in trials if trial.status == "finished"]
            training.delete_crashes(records)
            ledger.delete_leftovers_of_attempts(records)
            if records:
                tracker.set_summary(output.markdown(trials))
            stop = training.halt.stop
            untracked = tracker.close("KILLED" if interrupted or stop else "FINISHED", records)
    return SweepResult(records, trials, training.unfinished(records), interrupted, stop, untracked, tracker.links)


def stored_trials(ledger: Ledger) -> list[TrialRecord]:
    """Finished and open trials of a sweep; empty if the sweep was interrupted before its description was stored."""
    return [] if read_description(ledger.store) is None else SweepReader(ledger).read().trials
