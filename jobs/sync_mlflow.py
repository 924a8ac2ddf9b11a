"""Copy a sweep from the storage to MLflow: the parts that MLflow lacks, or the whole sweep.

    python jobs/sync_mlflow.py --sweep quick
    python jobs/sync_mlflow.py --sweep quick --storage s3://bucket/results --mlflow-uri http://server:5000
    python jobs/sync_mlflow.py --sweep quick --rewrite             # delete the sweep's runs first

The storage holds all results of a sweep. MLflow has a copy, which the sweep writes while it runs. This command
completes the copy after a long outage of MLflow or the loss of its database. Finished trials are compared with their
records: parameters, tags, last values, which epochs have values, and files. What differs is written again. Running it
twice changes nothing.
Reports are logged to MLflow by report.py.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from rich.console import Console

from core.command.exit_codes import DONE, FAILED, run_job
from core.command.help_page import read_flags
from core.config import StorageOptions
from core.config.default_paths import storage_root, tracking_uri
from core.config.flags import Flag, FlagGroup, model_flags
from core.config.names import checked_name
from core.quantity import quantity
from core.redaction import without_secrets

GROUPS = (
    FlagGroup(
        "sync_mlflow",
        "the sweep, and the MLflow server or database to write to",
        (
            Flag("sweep", "name of the sweep", required=True),
            *model_flags(StorageOptions, {"storage", "mlflow_uri"}),
            Flag("rewrite", "delete the sweep's runs in MLflow first, then write all of them", "switch"),
        ),
    ),
)


class SyncRequest(NamedTuple):
    """What the command line asks for."""

    sweep: str
    storage: str
    mlflow_uri: str
    rewrite: bool


def main(args: list[str]) -> int:
    """Parse, write, print.

    Exit code: 0 MLflow has the whole sweep, 1 it lacks a part, 2 bad input or storage error, 4 a server is away or a
    driver has the sweep, 130 interrupted.
    """
    console = Console(width=None if sys.stdout.isatty() else 120)
    return run_job(lambda: sync(read_request(args), console))


def read_request(args: list[str]) -> SyncRequest:
    """Read the request from the command line.

    Raises:
        ValueError: options are wrong; the message has one line for each.
    """
    given = read_flags(GROUPS, args, __doc__ or "")
    sweep = checked_name("--sweep", given["sweep"])
    storage, uri = storage_root(given.get("storage")), tracking_uri(given.get("mlflow_uri"))
    return SyncRequest(sweep, storage, uri, given.get("rewrite", False))


def sync(request: SyncRequest, console: Console) -> int:
    """Write the parts that MLflow lacks, or all, and print their number."""
    from analysis.report.context import report_context
    from analysis.report.mlflow_description import mlflow_description
    from analysis.report.tables.evaluation_table import stored_evaluations_markdown
    from core.ledger.driver_lock import driver_lock
    from core.ledger.snapshot import SweepReader, stored_sweep
    from core.tracking.sync import sync_sweep
    from core.tracking.tracked_sweep import EVALUATION_TABLE

    ledger = stored_sweep(request.storage, request.sweep)
    with driver_lock(ledger.store, request.sweep):
        snapshot = SweepReader(ledger).read()
        evaluations = stored_evaluations_markdown(snapshot.trials)
        synced = sync_sweep(
            request.mlflow_uri,
            ledger,
            snapshot,
            mlflow_description(report_context(request.sweep, snapshot.trials, history=snapshot.history)),
            {EVALUATION_TABLE: evaluations} if evaluations else {},
            rewrite=request.rewrite,
        )
    deleted = f"{quantity(synced.deleted, 'run')} deleted, " if request.rewrite else ""
    console.print(
        f"Sweep {request.sweep}: {deleted}{synced.written} of {len(snapshot.finished)} finished trials written to "
        f"{request.mlflow_uri}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
    for key, reason in synced.repaired.items():
        console.print(f"Trial {key}: {reason}; it was written again.", soft_wrap=True, highlight=False, markup=False)
    if synced.lacking:
        lacking = without_secrets(synced.lacking)
        console.print(f"{lacking}; run the same command again.", soft_wrap=True, highlight=False, markup=False)
        return FAILED
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
