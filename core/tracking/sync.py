"""Completion of MLflow's copy of a sweep from the storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.config.naming import TrialNames
from core.ledger.ledger import Ledger
from core.ledger.snapshot import SweepSnapshot
from core.records.progress import State
from core.tracking.encode import progress_metrics
from core.tracking.store import explained
from core.tracking.tracker import Status, SweepTracker, sweep_runs

ENDED: Mapping[State, Status] = {
    "finished": "FINISHED",
    "interrupted": "KILLED",
    "failed": "FAILED",
    "running": "KILLED",  # the driver has died, because this process holds the driver's lock
}


@dataclass(frozen=True)
class Synced:
    """The result of a synchronisation.

    Attributes:
        deleted: number of runs that were deleted at the start.
        written: number of finished trials that MLflow lacked, had from an older record, or had in part.
        repaired: how the runs of trials differed that seemed to be written, by the trial's key.
        lacking: what MLflow still lacks, or how it differs from the storage; empty if MLflow has everything.
    """

    deleted: int
    written: int
    repaired: Mapping[str, str]
    lacking: str


def sync_sweep(
    mlflow_uri: str, ledger: Ledger, snapshot: SweepSnapshot, summary: str, files: Mapping[str, str], *, rewrite: bool
) -> Synced:
    """Write to MLflow what it lacks of a sweep. The caller must hold `driver_lock`.

    Afterwards MLflow has a run of the sweep with its status, its last progress and its table, and a complete run of
    each finished trial. Runs of trials without a record are kept, and marked KILLED if their status is RUNNING.

    Args:
        mlflow_uri: MLflow tracking URI.
        ledger: the sweep's ledger.
        snapshot: the current state of the sweep.
        summary: the sweep's table in Markdown.
        files: contents of text files of the sweep's run by file name.
        rewrite: delete the sweep's runs first.

    Raises:
        ValueError: the address is not allowed, or no usable MLflow store answers there.
    """
    names = TrialNames(snapshot.description.cells.values())
    runs = sweep_runs(mlflow_uri, ledger, snapshot.description.protocol_options(), names)
    progress = snapshot.progress
    with explained(runs.uri):
        deleted = runs.delete_all() if rewrite else 0
        outdated, _ = runs.outdated({record.key: runs.digest(record) for record in snapshot.finished})
    with SweepTracker(runs, ledger.record, snapshot.finished, training=False) as tracker:
        tracker.set_summary(summary)
        for name, text in files.items():
            tracker.log_sweep_text(name, text)
        if progress is not None:
            tracker.set_progress(progress_metrics(progress))
        lacking = tracker.close(ENDED[progress.state] if progress else "FINISHED", snapshot.finished)
    return Synced(deleted, len({*outdated, *tracker.repaired}), tracker.repaired, lacking)
