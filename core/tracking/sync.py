"""Write MLflow's copy of a sweep again from the storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.ledger.ledger import Ledger
from core.ledger.snapshot import SweepSnapshot
from core.records.progress import State
from core.tracking.encode import progress_metrics, record_digest
from core.tracking.store import explained
from core.tracking.tracker import Status, SweepTracker, sweep_runs

ENDED: Mapping[State, Status] = {
    "finished": "FINISHED",
    "interrupted": "KILLED",
    "failed": "FAILED",
    "running": "KILLED",  # a driver that says so and holds no lock has died
}


@dataclass(frozen=True)
class Synced:
    """What was done to MLflow.

    Attributes:
        deleted: runs that were deleted first.
        written: finished trials that MLflow lacked, or had in another version.
        lacking: how much MLflow lacks still, and why; empty if it has everything.
    """

    deleted: int
    written: int
    lacking: str


def sync_sweep(
    mlflow_uri: str, ledger: Ledger, snapshot: SweepSnapshot, summary: str, files: Mapping[str, str], *, rewrite: bool
) -> Synced:
    """Write to MLflow what it lacks of a sweep that no driver is training; hold `driver_lock` meanwhile.

    Afterwards MLflow has a run of the sweep with its status, its last progress and its table, and a whole run of each
    finished trial. Runs of trials without a record are left, and marked KILLED if they say RUNNING.

    Args:
        mlflow_uri: MLflow tracking URI.
        ledger: of the sweep.
        snapshot: of the sweep as it stands now.
        summary: the sweep's table in Markdown.
        files: texts of the sweep's run by file name.
        rewrite: delete the sweep's runs first.

    Raises:
        ValueError: the address is of a wrong kind, or nothing usable answers there.
    """
    runs = sweep_runs(mlflow_uri, ledger, snapshot.description.protocol_options())
    progress = snapshot.progress
    with explained(runs.uri):
        deleted = runs.delete_all() if rewrite else 0
        outdated = runs.outdated({record.key: record_digest(record) for record in snapshot.finished})
    with SweepTracker(runs, ledger.record, snapshot.finished, training=False) as tracker:
        tracker.set_summary(summary)
        for name, text in files.items():
            tracker.log_sweep_text(name, text)
        if progress is not None:
            tracker.set_progress(progress_metrics(progress))
        lacking = tracker.close(ENDED[progress.state] if progress else "FINISHED")
    return Synced(deleted, len(outdated), lacking)
