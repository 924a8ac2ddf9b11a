"""The only writer of a sweep's MLflow runs. Its calls return at once, and training does not wait for a dead server."""

from __future__ import annotations

import platform
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self

from core.config import ProtocolOptions, Trial
from core.config.naming import TrialNames
from core.ledger.ledger import Ledger
from core.quantity import quantity
from core.records import TrialRecord
from core.source import git_commit
from core.tracking.encode import describe
from core.tracking.entries import Entry, FindRecord
from core.tracking.runs import SweepRuns
from core.tracking.store import prepare_store
from core.tracking.writer import Writer

Status = Literal["FINISHED", "KILLED", "FAILED"]


class SweepTracker:
    """Context manager that copies a sweep to MLflow: a parent run, and one child run per trial.

    The storage has all results, from which MLflow can be written again at any time. Entries wait in memory for a thread
    that repeats each write until MLflow has accepted it. At the start, the thread writes finished trials whose record
    MLflow lacks or has in an older version, and marks trials that a dead driver left RUNNING as KILLED.

    Memory is bounded for any outage of the server: at most `core.tracking.writer.MAX_ROWS` rows of traces wait, and
    about 3 kB for each trial that has not ended.

    Args:
        runs: the writer of the sweep's runs.
        find_record: see `FindRecord`.
        finished: records of all trials that have ended.
        training: whether the sweep is training; its run is then RUNNING until `close`. Otherwise the status of its run
            does not change.
    """

    def __init__(
        self, runs: SweepRuns, find_record: FindRecord, finished: Iterable[TrialRecord] = (), *, training: bool
    ) -> None:
        self._runs, self._training = runs, training
        self._digests = {record.key: runs.digest(record) for record in finished}
        self._writer = Writer(runs, find_record, self._open)
        self._closed = False
        self._differences: dict[str, str] = {}
        self.repaired: dict[str, str] = {}
        self._compared: dict[str, str | None] = {}
        """Why the run of a trial was deleted and written again at the end, by the trial's key."""

    def __enter__(self) -> Self:
        self._writer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._closed:
            ended: Status = "FINISHED" if kind is None else "KILLED" if kind is KeyboardInterrupt else "FAILED"
            self.close(ended if self._training else None)

    def start_trial(self, trial: Trial, attempt: int) -> None:
        """Note that a trial started; ``attempt`` counts its starts from 1."""
        self._writer.add(trial.key, Entry(start=(_now(), describe(trial, attempt))))

    def log_epochs(self, trial_key: str, rows: Sequence[Mapping[str, float | None]]) -> None:
        """Write rows of the trial's trace, given oldest first. Epochs that MLflow has already are skipped."""
        now = _now()
        self._writer.add(trial_key, Entry(rows=tuple((now, dict(row)) for row in rows)))

    def finish_trial(self, record: TrialRecord) -> None:
        """Write a trial whose record with a verdict is stored; its run becomes FINISHED, or FAILED if censored."""
        if record.verdict is None:
            raise ValueError(f"trial {record.key} has no verdict; use interrupt_trial for a trial that did not finish")
        self._writer.add(record.key, Entry(end=(_now(), "finished")))

    def interrupt_trial(self, trial_key: str) -> None:
        """Mark a trial KILLED that stopped without a verdict and may be continued."""
        self._writer.add(trial_key, Entry(end=(_now(), "interrupted")))

    def set_summary(self, markdown: str) -> None:
        """Set the description of the sweep's run, to which a link to the view of its trials is added."""
        self._writer.add("summary", Entry(of_sweep=partial(self._runs.describe_sweep, _now(), markdown)))

    def set_progress(self, metrics: Mapping[str, float]) -> None:
        """Write the sweep's progress as metrics of its run."""
        self._write_sweep("progress", metrics=metrics)

    def log_sweep_text(self, name: str, text: str) -> None:
        """Write a text file of the sweep's run."""
        self._write_sweep(name, files={name: text})

    def _write_sweep(self, key: str, **values: Mapping[str, Any]) -> None:
        self._writer.add(key, Entry(of_sweep=partial(self._runs.log_sweep, _now(), **values)))

    def close(
        self, status: Status | None, finished: Collection[TrialRecord] | None = None, deadline_s: float = 60.0
    ) -> str:
        """Write all waiting entries and the final status of the sweep's run, and compare MLflow with the storage.

        Runs that differ from their records are deleted and written again from the records. The epochs and artifacts of
        all trials are compared, too, unless a sweep that trained was interrupted or has failed, because its end must
        not take minutes.

        Args:
            status: the final status; None leaves the status unchanged.
            finished: records of all trials that have ended; None compares nothing.
            deadline_s: time limit. For a sweep that trained and was interrupted or has failed, it limits the whole
                call. Otherwise it limits the time in which MLflow accepts no entry and no trial is compared.

        Returns:
            What MLflow lacks, or how it differs from the storage, in one sentence without a full stop; empty if MLflow
            has everything.
        """
        self._closed = True
        patient = status in ("FINISHED", None) or not self._training
        self._writer.finish(partial(self._end, status, finished, patient), deadline_s, patient)
        if self.waiting:
            return f"MLflow lacks {self.waiting} of this sweep's entries ({self._writer.last_error or 'no answer yet'})"
        if not self._differences:
            return ""
        key, reason = next(iter(self._differences.items()))
        return f"MLflow differs from the storage in {quantity(len(self._differences), 'trial')} (trial {key}: {reason})"

    @property
    def links(self) -> tuple[str, str] | None:
        """Addresses of the sweep's page and of the view of its trials, see `SweepRuns.links`."""
        return self._runs.links

    @property
    def waiting(self) -> int:
        """Number of entries that MLflow does not have yet. A trial has at most one entry."""
        return self._writer.left

    def _open(self, writer: Writer) -> None:
        now = _now()
        if self._training:
            self._runs.open_sweep(now)
        outdated, left_running = self._runs.outdated(self._digests)
        for key in outdated:
            writer.add(key, Entry(end=(now, "finished")), oldest=True)
        for key in left_running:  # none belongs to this driver, which has not written any trial yet
            writer.add(key, Entry(end=(now, "interrupted")), oldest=True)

    def _end(
        self, status: Status | None, finished: Collection[TrialRecord] | None, inside: bool, writer: Writer
    ) -> None:
        if finished is not None:
            compared = [*self.repaired] or [record.key for record in finished]
            # A repetition after an error does not compare again. Otherwise a patient driver would never give up.
            self._differences = self._runs.differences(
                finished, _now(), {*compared} if inside else set(), self._compared, writer.went_on
            )
            wrong = [record.key for record in finished if record.key in self._differences]
            if wrong and not self.repaired:
                self._runs.delete_trials(wrong)
                self.repaired = {key: self._differences[key] for key in wrong}
                for key in wrong:
                    self._compared.pop(key, None)
                    writer.add(key, Entry(end=(_now(), "finished")))
                return
        if status is not None:
            self._runs.close_sweep(status, _now())


def open_tracker(
    mlflow_uri: str,
    ledger: Ledger,
    protocol: ProtocolOptions,
    names: TrialNames,
    finished: Iterable[TrialRecord],
    *,
    training: bool = False,
) -> SweepTracker:
    """The tracker of a stored sweep. The MLflow store is prepared first (see `prepare_store`).

    Args:
        mlflow_uri: MLflow tracking URI.
        ledger: the sweep's ledger.
        protocol: the sweep's protocol, which is logged as params of its run.
        names: names of the sweep's trials.
        finished: records of all trials that have ended.
        training: see `SweepTracker`.

    Raises:
        ValueError: the address is not allowed, or no usable MLflow store answers there.
    """
    return SweepTracker(sweep_runs(mlflow_uri, ledger, protocol, names), ledger.record, finished, training=training)


def sweep_runs(mlflow_uri: str, ledger: Ledger, protocol: ProtocolOptions, names: TrialNames) -> SweepRuns:
    """The writer of a stored sweep's runs. Arguments and errors are those of `open_tracker`."""
    commit = git_commit()
    tags = {"commit": commit, "mlflow.source.git.commit": commit, "host": platform.node()}
    return SweepRuns(prepare_store(mlflow_uri), ledger.name, tags, protocol.model_dump(mode="json"), names)


def _now() -> int:
    return int(time.time() * 1000)
