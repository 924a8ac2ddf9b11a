"""The runs of one sweep in MLflow. Every write may be repeated: what is stored already is not stored again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.records import Row, TrialRecord
from core.tracking.client import open_client
from core.tracking.encode import (
    OUTCOMES,
    describe_record,
    encode_param,
    evaluation_metrics,
    finite_or_nan,
    identity_tags,
    outcome_metrics,
    verdict_tags,
    write_artifacts,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

METRICS_PER_BATCH = 1000
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

    def __init__(
        self, uri: str, sweep: str, experiment: str, tags: Mapping[str, str], protocol: Mapping[str, Any]
    ) -> None:
        self._uri = uri
        self._sweep = sweep
        self._experiment = experiment
        self._tags = dict(tags)
        self._protocol = protocol
        self.forget()

    def forget(self) -> None:
        """Look everything up again: after an error nobody knows what the store has."""
        self._parent_id: str | None = None
        self._parent_start = 0
        self._run_ids: dict[str, str] | None = None
        self._described: set[str] = set()
        self._stored_epochs: dict[str, set[int]] = {}

    @property
    def client(self) -> MlflowClient:
        """Opened on first use, because importing MLflow takes over a second."""
        if not hasattr(self, "_client"):
            self._client = open_client(self._uri)
        return self._client

    def open_sweep(self, time: int) -> None:
        """Find or create the parent run and mark it RUNNING."""
        self._parent_id = None
        self.client.update_run(self._parent(time), status="RUNNING")
        self._set_tags(self._parent(time), self._tags)

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
                self.client.log_batch(run_id, metrics=batch)
                stored |= waiting
                batch, waiting = [], set()
            batch += [Metric(name, finite_or_nan(value), time, epoch) for name, value in row.items()]
            waiting.add(epoch)
        if batch:
            self.client.log_batch(run_id, metrics=batch)
            stored |= waiting

    def finish_trial(self, record: TrialRecord, time: int) -> None:
        """Store artifacts, missing epochs, outcome metrics, tags and the final status, in this order."""
        from mlflow.entities import Metric, RunTag

        assert record.verdict is not None
        run_id = self._trial(record.key, describe_record(record), time)
        with tempfile.TemporaryDirectory() as folder:
            write_artifacts(record, Path(folder))
            self.client.log_artifacts(run_id, folder)
        self.log_epochs(record.key, [(time, row) for row in record.trace])
        logged = self.client.get_run(run_id).data.metrics
        metrics = [
            Metric(name, value, time, 0)
            for name, value in {**outcome_metrics(record), **evaluation_metrics(record)}.items()
            if logged.get(name) != value  # the same record finished twice is one row
        ]
        tags = [RunTag(name, value) for name, value in verdict_tags(record).items()]
        self.client.log_batch(run_id, metrics=metrics, tags=tags)
        self.client.set_terminated(run_id, FINAL_STATUS[record.verdict.outcome], time)
        self._stored_epochs.pop(record.key, None)

    def interrupt_trial(self, key: str, time: int) -> None:
        """Mark the trial KILLED; it may be started again."""
        run_id = self._trial(key)
        self._set_tags(run_id, {"outcome": "interrupted"})
        self.client.set_terminated(run_id, "KILLED", time)

    def reconcile(self, alive: Iterable[str], time: int) -> None:
        """Mark KILLED every RUNNING trial that is not alive: its driver died."""
        alive = set(alive)
        for run in list(self.search("tags.role = 'trial' and attributes.status = 'RUNNING'")):
            if (key := run.data.tags["trial_key"]) not in alive:
                self.interrupt_trial(key, time)

    def not_finished(self, keys: Iterable[str]) -> list[str]:
        """Those of the trials that have no run yet, or one that has not ended with an outcome."""
        ended = {
            run.data.tags["trial_key"]
            for run in self.search("tags.role = 'trial'")
            if run.data.tags.get("outcome") in OUTCOMES and run.info.status in FINAL_STATUS.values()
        }
        return [key for key in keys if key not in ended]

    def log_sweep(self, time: int, metrics: Mapping[str, float], tags: Mapping[str, str]) -> None:
        """Metrics and tags of the parent run; a metric's step is the number of seconds since the run was created."""
        from mlflow.entities import Metric, RunTag

        parent = self._parent(time)
        step = max(0, time - self._parent_start) // 1000
        self.client.log_batch(
            parent,
            metrics=[Metric(name, finite_or_nan(value), time, step) for name, value in metrics.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )

    def log_sweep_artifact(self, path: Path, time: int) -> None:
        """A file of the parent run."""
        self.client.log_artifact(self._parent(time), str(path))

    def close_sweep(self, status: str, time: int) -> None:
        """Final status of the parent run."""
        self.client.set_terminated(self._parent(time), status, time)

    def search(self, condition: str) -> Iterable[Run]:
        """The sweep's runs that fulfil ``condition``, oldest first."""
        return search_runs(self.client, self._experiment, f"{condition} and tags.sweep = '{self._sweep}'")

    def _parent(self, time: int) -> str:
        if self._parent_id is None:
            run = next(iter(self.search("tags.role = 'sweep'")), None)
            if run is None:
                tags = {"role": "sweep", "sweep": self._sweep, **self._tags}
                self._parent_id, self._parent_start = self._create(self._sweep, tags, time), time
                self.client.set_terminated(self._parent_id, "FINISHED", time)  # whoever runs it marks it RUNNING
            else:
                self._parent_id, self._parent_start = run.info.run_id, run.info.start_time
        return self._parent_id

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
            first = {"mlflow.parentRunId": self._parent(time), **identity_tags(trial, self._sweep), **self._tags}
            run_id = self._known()[key] = self._create(key, first, time)
        # of a run that was there already nobody knows whether its driver came that far
        params = {} if key in self._described else {**trial["cell"], **self._protocol}
        if params or tags:
            self._set_params(run_id, params, tags or {})
            self._described.add(key)
        return run_id

    def _known(self) -> dict[str, str]:
        """Ids of the trials' runs by key, asked for once: a search per trial takes longer the more trials there are."""
        if self._run_ids is None:
            found = self.search("tags.role = 'trial'")
            self._run_ids = {run.data.tags["trial_key"]: run.info.run_id for run in reversed(list(found))}
        return self._run_ids

    def _create(self, name: str, tags: dict[str, str], time: int) -> str:
        experiment_id = experiment_id_of(self.client, self._experiment)
        return self.client.create_run(experiment_id, time, tags, name).info.run_id

    def _epochs_of(self, key: str, run_id: str) -> set[int]:
        if key not in self._stored_epochs:
            history = self.client.get_metric_history(run_id, "epoch")
            self._stored_epochs[key] = {metric.step for metric in history}
        return self._stored_epochs[key]

    def _set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def _set_params(self, run_id: str, options: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        from mlflow.entities import Param, RunTag

        self.client.log_batch(
            run_id,
            params=[Param(name, encode_param(value)) for name, value in options.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )


def experiment_id_of(client: MlflowClient, experiment: str) -> str:
    """Id of an experiment by name.

    Raises:
        LookupError: there is none.
    """
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise LookupError(f"experiment {experiment!r} is gone; `prepare_store` creates it")
    return found.experiment_id


def search_runs(client: MlflowClient, experiment: str, condition: str) -> Iterable[Run]:
    """All runs of an experiment that fulfil ``condition`` and are not deleted, oldest first, page by page."""
    experiments = [experiment_id_of(client, experiment)]
    page = None
    while True:
        found = client.search_runs(
            experiments, condition, max_results=500, order_by=["attributes.start_time ASC"], page_token=page
        )
        yield from found
        page = found.token
        if not page:
            return
