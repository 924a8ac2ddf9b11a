"""The runs of one sweep in MLflow. Every write may be repeated, because data that MLflow has is not written twice."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config.naming import TrialNames
from core.records import Row, TrialRecord
from core.storage.process_identity import temporary_prefix
from core.tracking.client import open_client
from core.tracking.comparison import RunContent, difference, lacking_artifacts, lacking_history
from core.tracking.encode import (
    NOTE,
    artifact_names,
    describe,
    encode_param,
    final_metrics,
    finite_or_nan,
    identity_tags,
    last_values,
    record_digest,
    verdict_tags,
    write_artifacts,
)
from core.tracking.search import experiment_id_of, search_runs
from core.tracking.views import VIEW_TAG, run_link, trials_link, trials_view, view_key

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

METRICS_PER_BATCH = 1000
RECORD_TAG = "record"
"""Tag with the digest of the record from which a finished trial's run was written."""
FINAL_STATUS = {"stable": "FINISHED", "unstable": "FINISHED", "healed": "FINISHED", "censored": "FAILED"}
EpochRow = tuple[int, Row]
"""Time of the report in ms since 1970, and a row of the trace.

The time is part of a metric's identity in MLflow and must be the same when a row is written again."""


class SweepRuns:
    """Synchronous writer of one sweep's parent run and trial runs. Errors of MLflow are passed on.

    Args:
        uri: absolute address of a prepared store.
        sweep: name of the sweep.
        tags: further tags of all runs, such as the commit.
        protocol: options of the protocol by name, which are the params of the sweep's run.
        names: names of the trials. The options by which they are named, and the seed, are the params of a trial.
    """

    def __init__(
        self, uri: str, sweep: str, tags: Mapping[str, str], protocol: Mapping[str, Any], names: TrialNames
    ) -> None:
        self.uri = uri
        self._sweep = sweep
        self._tags = dict(tags)
        self._protocol = protocol
        self._names = names
        self.forget()

    def forget(self) -> None:
        """Clear all caches, because after an error it is unknown what the store has."""
        self._parent_run: Run | None = None
        self._run_ids: dict[str, str] | None = None
        self._described: set[str] = set()
        self._stored_epochs: dict[str, set[int]] = {}

    @property
    def client(self) -> MlflowClient:
        """The MLflow client, which is opened on first use, because the import of MLflow takes more than a second."""
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
        """Find or create the trial's run and mark it RUNNING. ``trial`` is a description made by `describe`."""
        run_id = self._trial(trial["key"], trial, time, {"outcome": "running", "attempts": str(trial["attempts"])})
        self.client.update_run(run_id, status="RUNNING")

    def log_epochs(self, key: str, rows: Iterable[EpochRow]) -> None:
        """Store the rows of epochs that MLflow does not have yet. A row is never divided between two requests.

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
        epochs = list(missing)
        size = METRICS_PER_BATCH // max((len(row) for _, row in missing.values()), default=1)
        for first in range(0, len(epochs), size):
            batch = epochs[first : first + size]
            entries = [(epoch, *missing[epoch]) for epoch in batch]
            self._log(
                run_id,
                [Metric(name, finite_or_nan(v), t, epoch) for epoch, t, row in entries for name, v in row.items()],
            )
            stored.update(batch)

    def finish_trial(self, record: TrialRecord, time: int) -> None:
        """Store artifacts, missing epochs, outcome metrics, tags and the final status, in this order."""
        from mlflow.entities import Metric

        assert record.verdict is not None
        trained_ms = 1000 * record.device_seconds / record.cell.get("workers", 1)
        run_id = self._trial(record.key, describe(record, record.attempts), time - int(trained_ms))
        with _temporary_folder() as folder:
            write_artifacts(record, folder)
            self.client.log_artifacts(run_id, str(folder))
        self.log_epochs(record.key, [(time, row) for row in record.trace])
        run = self.client.get_run(run_id)
        metrics = [
            Metric(name, value, time, 0)
            for name, value in final_metrics(record).items()
            if run.data.metrics.get(name) != value  # a record that is written twice must give one value per metric
        ]
        tags = verdict_tags(record)
        if "censor_reason" in run.data.tags:  # of an earlier attempt: tags are overwritten and never removed
            tags = {"censor_reason": "", **tags}
        self._log(run_id, metrics, tags)
        if run.info.run_name != (name := self._names.of(record)):
            self.client.update_run(run_id, name=name)
        status = FINAL_STATUS[record.verdict.outcome]
        if run.info.status != status:
            self.client.set_terminated(run_id, status, time)
        self._log(run_id, tags={RECORD_TAG: self.digest(record)})
        self._stored_epochs.pop(record.key, None)

    def digest(self, record: TrialRecord) -> str:
        """A digest of what a finished trial's run is written from: its record, and its name in the sweep."""
        return record_digest(record, self._names.of(record))

    def interrupt_trial(self, key: str, time: int) -> None:
        """Mark the trial's run KILLED; the trial may be started again."""
        run_id = self._trial(key)
        self._log(run_id, tags={"outcome": "interrupted"})
        self.client.set_terminated(run_id, "KILLED", time)

    def outdated(self, digests: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """Keys of the finished trials without a finished run of their present record, and of others left RUNNING.

        Args:
            digests: `digest` of each finished trial's record by key.
        """
        found = self._trial_runs()
        ended = FINAL_STATUS.values()
        written = {key: run.data.tags.get(RECORD_TAG) for key, run in found.items() if run.info.status in ended}
        outdated = {key: None for key, digest in digests.items() if written.get(key) != digest}
        return [*outdated], [k for k, run in found.items() if run.info.status == "RUNNING" and k not in outdated]

    def differences(
        self,
        records: Iterable[TrialRecord],
        time: int,
        inside: Collection[str],
        compared: dict[str, str | None],
        passed: Callable[[], None],
    ) -> dict[str, str]:
        """How MLflow differs from the storage: a reason for each trial that differs, by key.

        Surplus runs of the sweep or of a trial are deleted.

        Args:
            records: records of all trials of the sweep that have ended.
            time: start of the sweep's run if MLflow has lost it, in ms since 1970.
            inside: keys of the trials whose epochs and artifacts are compared, too, by two requests for each.
            compared: what an interrupted call has found inside these trials; this call adds what it finds.
            passed: called after each trial that is added to it, because this can take minutes.
        """
        self.forget()
        parent = self._parent(time).info.run_id
        runs = self._trial_runs()
        found = {}
        for record in records:
            run = runs.pop(record.key, None)
            reason = difference(run, self._content(record, parent)) if run else "it has no run"
            if run and not reason and record.key in inside:
                if record.key not in compared:
                    compared[record.key] = self._lacking_inside(run, record)
                    passed()
                reason = compared[record.key]
            if reason:
                found[record.key] = reason
        ended = [key for key, run in runs.items() if run.info.status in FINAL_STATUS.values()]
        return found | dict.fromkeys(ended, "its run is finished, and the storage has no record of it")

    def _lacking_inside(self, run: Run, record: TrialRecord) -> str | None:
        run_id = run.info.run_id
        stored = self._stored_steps(run_id)
        # The record of a crash has no epochs. Those in MLflow were reported while the trial ran, and are nowhere else.
        epochs = {int(row["epoch"] or 0) for row in record.trace} or stored
        return lacking_history(epochs, stored) or lacking_artifacts(
            artifact_names(record), self.client.list_artifacts(run_id)
        )

    def _content(self, record: TrialRecord, parent: str) -> RunContent:
        """What a finished trial's run must have."""
        assert record.verdict is not None
        params = self._params(describe(record, record.attempts))
        return RunContent(
            status=FINAL_STATUS[record.verdict.outcome],
            tags={**verdict_tags(record), RECORD_TAG: self.digest(record), "mlflow.parentRunId": parent},
            params={name: encode_param(value) for name, value in params.items()},
            metrics={**last_values(record), **final_metrics(record)},
        )

    def delete_trials(self, keys: Iterable[str]) -> None:
        """Delete the runs of these trials."""
        known = self._known()
        for key in keys:
            if key in known:
                self.client.delete_run(known.pop(key))
                self._described.discard(key)
                self._stored_epochs.pop(key, None)

    def delete_all(self) -> int:
        """Delete the runs of the sweep and of its trials, and return their number. MLflow can restore deleted runs."""
        runs = [run for role in ("trial", "sweep") for run in self._search(role)]
        for run in runs:
            self.client.delete_run(run.info.run_id)
        self.forget()
        return len(runs)

    def log_sweep(
        self,
        time: int,
        *,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> None:
        """Write changed metrics, tags and text files of the parent run. A metric's step is the run's age in s."""
        from mlflow.entities import Metric

        run_id, start = self._parent(time).info.run_id, self._parent(time).info.start_time
        logged = self.client.get_run(run_id).data.metrics if metrics else {}
        step = max(0, time - start) // 1000
        changed = [Metric(k, value, time, step) for k, value in (metrics or {}).items() if logged.get(k) != value]
        if changed or tags:
            self._log(run_id, changed, tags)
        if files:
            with _temporary_folder() as folder:
                for name, text in files.items():
                    (folder / name).write_text(text, encoding="utf-8")
                self.client.log_artifacts(run_id, str(folder))

    def describe_sweep(self, time: int, markdown: str) -> None:
        """Set the description of the parent run, with a link to the view of the trials in its first paragraph."""
        trials = trials_link(self._parent(time).info.experiment_id, self._sweep)
        first, _, rest = markdown.partition("\n\n")
        self.log_sweep(time, tags={NOTE: f"{first} [Stable against unstable trials]({trials})\n\n{rest}"})

    def close_sweep(self, status: str, time: int) -> None:
        """Set the final status of the parent run."""
        run_id = self._parent(time).info.run_id
        if self.client.get_run(run_id).info.status != status:
            self.client.set_terminated(run_id, status, time)

    def _search(self, role: str) -> list[Run]:
        """The sweep's runs with this role, oldest first."""
        return list(search_runs(self.client, f"tags.role = '{role}' and tags.sweep = '{self._sweep}'"))

    def _parent(self, time: int) -> Run:
        if self._parent_run is None:
            found = self._only(self._search("sweep"))
            if found is None:
                found = self._create(self._sweep, {"role": "sweep", "sweep": self._sweep, **self._tags}, time)
                self.client.set_terminated(found.info.run_id, "FINISHED", time)  # `open_sweep` marks it RUNNING
            self._describe_sweep(found)
            self._parent_run = found
        return self._parent_run

    def _describe_sweep(self, run: Run) -> None:
        """Write the params of the sweep's run that it lacks, and the view of its trials."""
        lacking = {name: value for name, value in self._protocol.items() if name not in run.data.params}
        if lacking:
            self._log(run.info.run_id, params=lacking)
        view = trials_view(self._sweep, [*self._names.options, "seed"])
        self.client.set_experiment_tag(run.info.experiment_id, VIEW_TAG + view_key(self._sweep), view)

    @property
    def links(self) -> tuple[str, str] | None:
        """Addresses, relative to MLflow's user interface, of the sweep's own page and of the view of its trials.

        None before MLflow has answered.
        """
        if self._parent_run is None:
            return None
        info = self._parent_run.info
        return run_link(info.experiment_id, info.run_id), trials_link(info.experiment_id, self._sweep)

    def _only(self, runs: list[Run]) -> Run | None:
        """One of the runs, which are ordered by age: the oldest one that has params, or else the oldest one.

        The others are deleted. They come from requests that were repeated because the answer was lost.
        """
        kept = min(runs, key=lambda run: not run.data.params, default=None)
        for run in runs:
            if run is not kept:
                self.client.delete_run(run.info.run_id)
        return kept

    def _trial(
        self, key: str, trial: Mapping[str, Any] | None = None, time: int = 0, tags: Mapping[str, str] | None = None
    ) -> str:
        """Id of the trial's run. With ``trial``, a missing run is created, and params and ``tags`` are written."""
        known = self._known()
        if trial is None:
            if key not in known:
                raise LookupError(f"trial {key} of sweep {self._sweep} has no run")
            return known[key]
        if key not in known:
            parent = {"mlflow.parentRunId": self._parent(time).info.run_id}
            name = self._names(trial["cell"], trial["seed"], trial["pins"])
            created = self._create(name, {**parent, **identity_tags(trial, self._sweep), **self._tags}, time)
            known[key] = created.info.run_id
        run_id = known[key]
        # An earlier driver may have died after it created the run and before it wrote the params.
        params = {} if key in self._described else self._params(trial)
        if params or tags:
            self._log(run_id, tags=tags, params=params)
            self._described.add(key)
        return run_id

    def _params(self, trial: Mapping[str, Any]) -> dict[str, Any]:
        """What tells the trial from the others; all options of its cell are in ``config.yaml``."""
        varying = {name: value for name, value in self._names.varying(trial["cell"]).items() if value is not None}
        return {**varying, "seed": trial["seed"], **{f"{stream}_seed": seed for stream, seed in trial["pins"].items()}}

    def _known(self) -> dict[str, str]:
        """Ids of all trials' runs by key, found by one search, because a search per trial would slow a large sweep."""
        if self._run_ids is None:
            self._run_ids = {key: run.info.run_id for key, run in self._trial_runs().items()}
        return self._run_ids

    def _trial_runs(self) -> dict[str, Run]:
        found: dict[str, list[Run]] = defaultdict(list)
        for run in self._search("trial"):
            if key := run.data.tags.get("trial_key"):  # otherwise another program has made the run
                found[key].append(run)
        return {key: kept for key, runs in found.items() if (kept := self._only(runs))}

    def _create(self, name: str, tags: dict[str, str], time: int) -> Run:
        return self.client.create_run(experiment_id_of(self.client), time, tags, name)

    def _epochs_of(self, key: str, run_id: str) -> set[int]:
        if key not in self._stored_epochs:
            self._stored_epochs[key] = self._stored_steps(run_id)
        return self._stored_epochs[key]

    def _stored_steps(self, run_id: str) -> set[int]:
        return {metric.step for metric in self.client.get_metric_history(run_id, "epoch")}

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


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder for files on their way to MLflow. If this process is killed, the next driver deletes it."""
    with tempfile.TemporaryDirectory(prefix=f"{temporary_prefix()}{os.getpid()}-") as folder:
        yield Path(folder)
