"""The runs of one sweep in MLflow. Every write may be repeated: what is stored already is not stored again."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.records import Row, TrialRecord
from core.tracking.client import open_client
from core.tracking.encode import (
    describe,
    encode_param,
    evaluation_metrics,
    finite_or_nan,
    identity_tags,
    outcome_metrics,
    record_digest,
    verdict_tags,
    write_artifacts,
)
from core.tracking.store import EXPERIMENT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

METRICS_PER_BATCH = 1000
RECORD_TAG = "record"
"""Digest of the record that a finished trial's run was written from."""
FINAL_STATUS = {"stable": "FINISHED", "unstable": "FINISHED", "healed": "FINISHED", "censored": "FAILED"}
EpochRow = tuple[int, Row]
"""Time of the report in ms since 1970, and a row of the trace. The time is part of a metric's identity in MLflow, so it
must be the same when a row is written again."""


class SweepRuns:
    """Synchronous writer of one sweep's parent run and trial runs; raises whatever MLflow raises.

    Args:
        uri: absolute address of a prepared store.
        tags: further tags of all runs, such as the commit.
        protocol: options by name, stored as params beside the cell's.
    """

    def __init__(self, uri: str, sweep: str, tags: Mapping[str, str], protocol: Mapping[str, Any]) -> None:
        self.uri = uri
        self._sweep = sweep
        self._tags = dict(tags)
        self._protocol = protocol
        self.forget()

    def forget(self) -> None:
        """Look everything up again: after an error it is not known what the store has."""
        self._parent_run: Run | None = None
        self._run_ids: dict[str, str] | None = None
        self._described: set[str] = set()
        self._stored_epochs: dict[str, set[int]] = {}

    @property
    def client(self) -> MlflowClient:
        """Opened on first use, because importing MLflow takes over a second."""
        if not hasattr(self, "_client"):
            self._client = open_client(self.uri)
        return self._client

    def open_sweep(self, time: int) -> None:
        """Find or create the parent run and mark it RUNNING."""
        self._parent_run = None
        run_id = self._parent(time).info.run_id
        self.client.update_run(run_id, status="RUNNING")
        self._log(run_id, tags=self._tags)

    def start_trial(self, trial: Mapping[str, Any], time: int) -> None:
        """Find or create the trial's run and mark it RUNNING; ``trial`` as `describe` gives it."""
        run_id = self._trial(trial["key"], trial, time, {"outcome": "running", "attempts": str(trial["attempts"])})
        self.client.update_run(run_id, status="RUNNING")

    def log_epochs(self, key: str, rows: Iterable[EpochRow]) -> None:
        """Store rows whose epoch is not stored yet, whole rows per request.

        Raises:
            LookupError: the trial has no run.
        """
        from mlflow.entities import Metric

        run_id = self._trial(key)
        stored = self._epochs_of(key, run_id)
        missing: dict[int, EpochRow] = {}
        for time, row in rows:
            if row["epoch"] not in stored:
                missing.setdefault(int(row["epoch"] or 0), (time, row))
        batch: list[Metric] = []
        waiting: set[int] = set()
        for epoch, (time, row) in missing.items():
            if len(batch) + len(row) > METRICS_PER_BATCH:
                self._log(run_id, batch)
                stored |= waiting
                batch, waiting = [], set()
            batch += [Metric(name, finite_or_nan(value), time, epoch) for name, value in row.items()]
            waiting.add(epoch)
        if batch:
            self._log(run_id, batch)
            stored |= waiting

    def finish_trial(self, record: TrialRecord, time: int) -> None:
        """Store artifacts, missing epochs, outcome metrics, tags and the final status, in this order."""
        from mlflow.entities import Metric

        assert record.verdict is not None
        trained_ms = 1000 * record.device_seconds / record.cell.get("workers", 1)
        run_id = self._trial(record.key, describe(record, record.attempts), time - int(trained_ms))
        with tempfile.TemporaryDirectory() as folder:
            write_artifacts(record, Path(folder))
            self.client.log_artifacts(run_id, folder)
        self.log_epochs(record.key, [(time, row) for row in record.trace])
        run = self.client.get_run(run_id)
        metrics = [
            Metric(name, value, time, 0)
            for name, value in {**outcome_metrics(record), **evaluation_metrics(record)}.items()
            if run.data.metrics.get(name) != value  # the same record finished twice is one row
        ]
        self._log(run_id, metrics, verdict_tags(record))
        status = FINAL_STATUS[record.verdict.outcome]
        if run.info.status != status:
            self.client.set_terminated(run_id, status, time)
        self._log(run_id, tags={RECORD_TAG: record_digest(record)})
        self._stored_epochs.pop(record.key, None)

    def interrupt_trial(self, key: str, time: int) -> None:
        """Mark the trial KILLED; it may be started again."""
        run_id = self._trial(key)
        self._log(run_id, tags={"outcome": "interrupted"})
        self.client.set_terminated(run_id, "KILLED", time)

    def left_running(self) -> list[str]:
        """Trials whose run says RUNNING."""
        found = self.search("tags.role = 'trial' and attributes.status = 'RUNNING'")
        return [run.data.tags["trial_key"] for run in found]

    def outdated(self, digests: Mapping[str, str]) -> list[str]:
        """Finished trials whose run was not written from their record as it is now.

        Args:
            digests: `record_digest` of the trials' records by key.
        """
        self._known()  # of a trial with two runs the later one goes
        written = {
            run.data.tags["trial_key"]: run.data.tags.get(RECORD_TAG)
            for run in self.search("tags.role = 'trial'")
            if run.info.status in FINAL_STATUS.values()
        }
        return [key for key, digest in digests.items() if written.get(key) != digest]

    def delete_all(self) -> int:
        """Delete the runs of the sweep and of its trials, as MLflow does: they can be restored. Returns how many."""
        runs = [*self.search("tags.role = 'trial'"), *self.search("tags.role = 'sweep'")]
        for run in runs:
            self.client.delete_run(run.info.run_id)
        self.forget()
        return len(runs)

    def log_sweep(self, time: int, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Metrics, as far as they changed, and tags of the parent run; a step is a second since the run was created."""
        from mlflow.entities import Metric

        run_id, start = self._parent(time).info.run_id, self._parent(time).info.start_time
        logged = self.client.get_run(run_id).data.metrics
        step = max(0, time - start) // 1000
        changed = [Metric(name, value, time, step) for name, value in metrics.items() if logged.get(name) != value]
        self._log(run_id, changed, tags)

    def log_sweep_text(self, name: str, text: str, time: int) -> None:
        """A text file of the parent run."""
        self.client.log_text(self._parent(time).info.run_id, text, name)

    def close_sweep(self, status: str, time: int) -> None:
        """Final status of the parent run."""
        run_id = self._parent(time).info.run_id
        if self.client.get_run(run_id).info.status != status:
            self.client.set_terminated(run_id, status, time)

    def search(self, condition: str) -> list[Run]:
        """The sweep's runs that fulfil ``condition``, oldest first."""
        return list(search_runs(self.client, f"{condition} and tags.sweep = '{self._sweep}'"))

    def _parent(self, time: int) -> Run:
        if self._parent_run is None:
            found = self._first(self.search("tags.role = 'sweep'"))
            if found is None:
                found = self._create(self._sweep, {"role": "sweep", "sweep": self._sweep, **self._tags}, time)
                self.client.set_terminated(found.info.run_id, "FINISHED", time)  # `open_sweep` marks it RUNNING
            self._parent_run = found
        return self._parent_run

    def _first(self, runs: list[Run]) -> Run | None:
        """The oldest run; others for the same thing, which a repeated request left, are deleted."""
        for run in runs[1:]:
            self.client.delete_run(run.info.run_id)
        return runs[0] if runs else None

    def _trial(
        self, key: str, trial: Mapping[str, Any] | None = None, time: int = 0, tags: Mapping[str, str] | None = None
    ) -> str:
        """Id of the trial's run. With ``trial`` it is made if there is none, and gets its params and ``tags``."""
        run_id = self._known().get(key)
        if trial is None:
            if run_id is None:
                raise LookupError(f"trial {key} of sweep {self._sweep} has no run")
            return run_id
        if run_id is None:
            parent = {"mlflow.parentRunId": self._parent(time).info.run_id}
            created = self._create(key, {**parent, **identity_tags(trial, self._sweep), **self._tags}, time)
            run_id = self._known()[key] = created.info.run_id
        # a driver may have died between creating the run and describing it
        params = {} if key in self._described else {**trial["cell"], **self._protocol}
        if params or tags:
            self._log(run_id, tags=tags, params=params)
            self._described.add(key)
        return run_id

    def _known(self) -> dict[str, str]:
        """Ids of the trials' runs by key, asked for once: a search per trial takes longer the more trials there are."""
        if self._run_ids is None:
            found: dict[str, list[Run]] = defaultdict(list)
            for run in self.search("tags.role = 'trial'"):
                found[run.data.tags["trial_key"]].append(run)
            self._run_ids = {key: kept.info.run_id for key, runs in found.items() if (kept := self._first(runs))}
        return self._run_ids

    def _create(self, name: str, tags: dict[str, str], time: int) -> Run:
        return self.client.create_run(experiment_id_of(self.client), time, tags, name)

    def _epochs_of(self, key: str, run_id: str) -> set[int]:
        if key not in self._stored_epochs:
            history = self.client.get_metric_history(run_id, "epoch")
            self._stored_epochs[key] = {metric.step for metric in history}
        return self._stored_epochs[key]

    def _log(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        tags: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        from mlflow.entities import Param, RunTag

        self.client.log_batch(
            run_id,
            metrics=metrics,
            params=[Param(name, encode_param(value)) for name, value in (params or {}).items()],
            tags=[RunTag(name, value) for name, value in (tags or {}).items()],
        )


def experiment_id_of(client: MlflowClient) -> str:
    """Id of the project's experiment.

    Raises:
        LookupError: there is none.
    """
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        raise LookupError(f"experiment {EXPERIMENT!r} is gone; `prepare_store` creates it")
    return found.experiment_id


def search_runs(client: MlflowClient, condition: str) -> Iterable[Run]:
    """All runs of the project that fulfil ``condition`` and are not deleted, oldest first, page by page."""
    experiments = [experiment_id_of(client)]
    page = None
    while True:
        found = client.search_runs(
            experiments, condition, max_results=500, order_by=["attributes.start_time ASC"], page_token=page
        )
        yield from found
        page = found.token
        if not page:
            return
