"""The only writer of a sweep's MLflow runs. Calls return at once; a dead server costs delay, nothing else."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Literal, Self

from core.config import ProtocolOptions, Trial
from core.ledger.ledger import Ledger
from core.records import TrialRecord
from core.source import git_commit
from core.tracking.encode import describe, record_digest
from core.tracking.entries import FindRecord, SweepEntry, TrialEntry
from core.tracking.runs import SweepRuns
from core.tracking.store import prepare_store
from core.tracking.writer import Writer

NOTE = "mlflow.note.content"
Status = Literal["FINISHED", "KILLED", "FAILED"]


class SweepTracker:
    """Context manager that copies a sweep to MLflow: a parent run, and one child run per trial.

    The storage is the truth, and MLflow can be written from it again at any time. What is to be written waits in memory
    for a thread that repeats it until MLflow has it. At the start, finished trials are written whose record MLflow
    lacks or has in another version, and trials that a dead driver left RUNNING are marked KILLED.

    Memory is bounded, however long the server is away: `core.tracking.writer.MAX_ROWS` rows of traces, and about 3 kB
    for each trial that has not ended.

    Args:
        runs: of the sweep.
        find_record: see `FindRecord`.
        finished: records of all trials that have ended.
        training: the sweep trains: its run is RUNNING until `close`. Otherwise that run's status stays as it is.
    """

    def __init__(
        self, runs: SweepRuns, find_record: FindRecord, finished: Iterable[TrialRecord] = (), *, training: bool
    ) -> None:
        self._runs, self._training = runs, training
        self._digests = {record.key: record_digest(record) for record in finished}
        self._writer = Writer(runs, find_record, self._open)
        self._closed = False

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
        """The trial runs (again); ``attempt`` counts from 1."""
        self._writer.add(trial.key, TrialEntry(start=(_now(), describe(trial, attempt))))

    def log_epochs(self, trial_key: str, rows: Sequence[Mapping[str, float | None]]) -> None:
        """Rows of the trial's trace, oldest first; epochs that MLflow has already are skipped."""
        now = _now()
        self._writer.add(trial_key, TrialEntry(rows=tuple((now, dict(row)) for row in rows)))

    def finish_trial(self, record: TrialRecord) -> None:
        """The trial ended with a verdict, and its record is stored. The status is FINISHED, or FAILED if censored."""
        if record.verdict is None:
            raise ValueError(f"trial {record.key} has no verdict; use interrupt_trial for a trial that did not finish")
        self._writer.add(record.key, TrialEntry(end=(_now(), "finished")))

    def interrupt_trial(self, trial_key: str) -> None:
        """The trial stopped without a verdict and may be continued: status KILLED."""
        self._writer.add(trial_key, TrialEntry(end=(_now(), "interrupted")))

    def set_summary(self, markdown: str) -> None:
        """Text shown as the sweep's description."""
        self._writer.add("summary", SweepEntry(_now(), tags={NOTE: markdown}))

    def set_progress(self, metrics: Mapping[str, float]) -> None:
        """Where the sweep stands, as metrics of its run."""
        self._writer.add("progress", SweepEntry(_now(), metrics=metrics))

    def log_sweep_text(self, name: str, text: str) -> None:
        """A text file of the sweep's run."""
        self._writer.add(name, SweepEntry(_now(), files={name: text}))

    def close(self, status: Status | None, deadline_s: float = 60.0) -> str:
        """Write what waits, and the final status of the sweep's run; None: it stays as it is.

        Gives up after ``deadline_s`` seconds or, unless the sweep was interrupted or failed, once MLflow took nothing
        for as long.

        Returns:
            How much MLflow lacks, and why; empty if it has everything.
        """
        self._closed = True
        ending = None if status is None else lambda: self._runs.close_sweep(status, _now())
        self._writer.finish(ending, deadline_s, patient=status in ("FINISHED", None))
        if not self.waiting:
            return ""
        return f"MLflow lacks {self.waiting} of this sweep's entries ({self._writer.last_error or 'no answer yet'})"

    @property
    def waiting(self) -> int:
        """Entries that MLflow does not have yet, one for each trial."""
        return self._writer.left

    def _open(self, writer: Writer) -> None:
        now = _now()
        if self._training:
            self._runs.open_sweep(now)
        left = self._runs.left_running()  # none is this driver's: nothing else is written yet
        outdated = self._runs.outdated(self._digests)
        for key in {*left} - {*outdated}:
            writer.add(key, TrialEntry(end=(now, "interrupted")), oldest=True)
        for key in outdated:
            writer.add(key, TrialEntry(end=(now, "finished")), oldest=True)


def open_tracker(
    mlflow_uri: str,
    ledger: Ledger,
    protocol: ProtocolOptions,
    finished: Iterable[TrialRecord],
    *,
    training: bool = False,
) -> SweepTracker:
    """The tracker of a stored sweep; creates what the MLflow store lacks to take it.

    Args:
        mlflow_uri: MLflow tracking URI.
        ledger: of the sweep.
        protocol: the sweep's, logged as params of each trial.
        finished: records of all trials that have ended.
        training: see `SweepTracker`.

    Raises:
        ValueError: the address is of a wrong kind, or nothing usable answers there.
    """
    return SweepTracker(sweep_runs(mlflow_uri, ledger, protocol), ledger.record, finished, training=training)


def sweep_runs(mlflow_uri: str, ledger: Ledger, protocol: ProtocolOptions) -> SweepRuns:
    """The runs of a stored sweep; arguments and errors as in `open_tracker`."""
    commit = git_commit()
    tags = {"commit": commit, "mlflow.source.git.commit": commit, "host": platform.node()}
    return SweepRuns(prepare_store(mlflow_uri), ledger.name, tags, protocol.model_dump(mode="json"))


def _now() -> int:
    return int(time.time() * 1000)
