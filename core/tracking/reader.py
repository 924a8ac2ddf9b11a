"""Read a sweep back as records, finished or still running, from wherever the store can be reached."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from core.config import OPTION_FIELDS, ProtocolOptions
from core.records import TrialRecord
from core.tracking.client import open_client
from core.tracking.encode import OUTCOMES, decode_param
from core.tracking.runs import search_runs
from core.tracking.store import check_store, explained

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

THREADS = 8
LARGEST = 1e308
"""MLflow keeps an infinity as 1.8e308."""


def list_sweeps(uri: str, experiment: str = "unmask") -> list[str]:
    """Names of the sweeps in the store, oldest first.

    Raises:
        ValueError: there is no such store.
    """
    return _sweeps(open_client(check_store(uri)), experiment)


def read_sweep(uri: str, sweep: str, experiment: str = "unmask") -> list[TrialRecord]:
    """Records of all trials of a sweep that have started, in the order of their start, with `run_id`.

    Finished trials are read whole, from their artifact. Trials that are running, or were interrupted, have
    ``status="running"``, no verdict, and the trace as far as it was reported.

    Raises:
        ValueError: there is no such store or no such sweep, or the store can't give a trial's record.
    """
    uri = check_store(uri)
    client = open_client(uri)
    with explained(uri), ThreadPoolExecutor(THREADS) as pool:
        known = _sweeps(client, experiment)
        if sweep not in known:
            names = ", ".join(known) or "none"
            raise ValueError(f"--sweep {sweep!r} is no sweep of experiment {experiment!r} at {uri}; known are {names}")
        runs = list(search_runs(client, experiment, f"tags.role = 'trial' and tags.sweep = '{sweep}'"))
        return list(pool.map(lambda run: _read_trial(client, run), runs))


def _sweeps(client: MlflowClient, experiment: str) -> list[str]:
    if client.get_experiment_by_name(experiment) is None:
        return []
    runs = search_runs(client, experiment, "tags.role = 'sweep'")
    return list(dict.fromkeys(run.data.tags["sweep"] for run in runs))


def _read_trial(client: MlflowClient, run: Run) -> TrialRecord:
    if run.data.tags.get("outcome") in OUTCOMES:
        return _finished(client, run)
    return _unfinished(client, run)


def _finished(client: MlflowClient, run: Run) -> TrialRecord:
    with tempfile.TemporaryDirectory() as folder:
        file = client.download_artifacts(run.info.run_id, "record.json", folder)
        record = TrialRecord.model_validate_json(Path(file).read_bytes())
    return record.model_copy(update={"run_id": run.info.run_id})


def _unfinished(client: MlflowClient, run: Run) -> TrialRecord:
    tags = run.data.tags
    options = {name: decode_param(text) for name, text in run.data.params.items()}
    cell = {name: value for name, value in options.items() if name in OPTION_FIELDS}
    trace = _trace(client, run)
    seconds = sum(row.get(name) or 0.0 for row in trace for name in ("time/train_s", "time/eval_s"))
    return TrialRecord(
        sweep=tags["sweep"],
        cell_id=tags["cell"],
        cell=cell,
        seed=int(tags["seed"]),
        pins=json.loads(tags["pins"]),
        audit=json.loads(tags["audit"]),
        protocol={name: value for name, value in options.items() if name in ProtocolOptions.model_fields},
        status="running",
        epochs_planned=cell["epochs"],
        epochs_run=max((int(row["epoch"] or 0) for row in trace), default=0),
        trace=trace,
        device_seconds=seconds * cell["workers"],
        attempts=int(tags["attempts"]),
        provenance={name: tags[name] for name in ("commit", "host") if name in tags},
        run_id=run.info.run_id,
    )


def _trace(client: MlflowClient, run: Run) -> list[dict[str, float | None]]:
    rows: dict[int, dict[str, float | None]] = {}
    names = [name for name in run.data.metrics if not name.startswith(("outcome/", "evaluation/"))]
    for name in sorted(names, key=lambda name: name != "epoch"):
        for metric in client.get_metric_history(run.info.run_id, name):
            finite = abs(metric.value) < LARGEST  # false for NaN
            rows.setdefault(metric.step, {})[name] = metric.value if finite else None
    return [rows[epoch] for epoch in sorted(rows)]
