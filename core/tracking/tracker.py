"""The only writer of a sweep's MLflow runs. Calls return at once; a dead server costs delay, nothing else."""

from __future__ import annotations

import logging
import platform
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from core.config import ProtocolOptions, Trial
from core.records import TrialRecord
from core.storage.errors import folder_error
from core.tracking.encode import describe
from core.tracking.journal import Journal
from core.tracking.runs import SweepRuns
from core.tracking.writer import FindRecord, Writer

JOURNAL_BYTES = 256_000_000
SWEEP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_logger = logging.getLogger(__name__)


class SweepTracker:
    """Context manager that tracks one sweep: a parent run and one child run per trial.

    Every call is appended to a journal on disk and returns; one thread writes the journal's entries to the store in
    order, retries with back-off, and goes on at the next start of the same sweep where the last one died.

    The journal is bounded, however long the server is away: at most `JOURNAL_BYTES` of epochs, and besides them about 2
    kB per start of a trial and 100 bytes per end of one (300 trials: 0.7 MB), which are never left out.

    Args:
        uri: what `prepare_store` returned.
        sweep: letters, digits, ``.``, ``_`` and ``-``.
        experiment: MLflow experiment, as given to `prepare_store`.
        journal_dir: local folder that belongs to this sweep alone.
        find_record: the stored record of a finished trial by its key; None if there is none. The journal holds keys
            alone, so that a server's absence does not fill the disk with copies of what is stored anyway.
        protocol: the sweep's protocol, logged as params of each trial.
        commit: git commit of the code, for the tags.
        attach: add to the runs of a sweep that is not running; its status stays as it is.

    Raises:
        ValueError: the sweep's name cannot be used, or another driver is tracking it from the same folder.
    """

    def __init__(
        self,
        uri: str,
        sweep: str,
        experiment: str,
        journal_dir: Path,
        find_record: FindRecord,
        *,
        protocol: ProtocolOptions,
        commit: str,
        attach: bool = False,
    ) -> None:
        if not SWEEP_NAME.fullmatch(sweep):
            raise ValueError(f"--name {sweep!r} must match {SWEEP_NAME.pattern}")
        tags = {"commit": commit, "mlflow.source.git.commit": commit, "host": platform.node()}
        runs = SweepRuns(uri, sweep, experiment, tags, protocol.model_dump(mode="json"))
        self._folder = journal_dir
        self._journal = Journal(journal_dir)
        self._writer = Writer(runs, self._journal, find_record)
        self._summary: str | None = None
        self._progress: dict[str, float] = {}
        self._closed = False
        self._attach = attach

    def __enter__(self) -> Self:
        if not self._attach:
            self._append("sweep")
        self._writer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._closed:
            self.close("FINISHED" if kind is None else "KILLED" if kind is KeyboardInterrupt else "FAILED")

    def start_trial(self, trial: Trial, attempt: int) -> None:
        """The trial runs (again); ``attempt`` counts from 1."""
        self._append("start", trial=describe(trial, attempt))

    def log_epochs(self, trial_key: str, rows: Sequence[Mapping[str, float | None]]) -> None:
        """Rows of the trial's trace, oldest first; epochs that are stored already are skipped.

        Once the journal holds `JOURNAL_BYTES` because the server is away, rows are left out until `finish_trial`, whose
        record brings them again.
        """
        if self._journal.size < JOURNAL_BYTES:
            self._append("epochs", durable=False, key=trial_key, rows=[dict(row) for row in rows])

    def finish_trial(self, record: TrialRecord) -> None:
        """The trial ended with a verdict, and its record is stored. The status is FINISHED, or FAILED if censored."""
        if record.verdict is None:
            raise ValueError(f"trial {record.key} has no verdict; use interrupt_trial for a trial that did not finish")
        self._append("finish", key=record.key)

    def interrupt_trial(self, trial_key: str) -> None:
        """The trial stopped without a verdict and may be continued: status KILLED."""
        self._append("interrupt", key=trial_key)

    def reconcile(self, alive_keys: Iterable[str], finished: Iterable[str] = ()) -> None:
        """Finish what a dead driver left behind; call it before `start_trial`.

        Args:
            alive_keys: trials that run; all others that are RUNNING in the store are marked KILLED.
            finished: trials with a stored record; those that are not finished in the store are.
        """
        self._append("reconcile", alive=sorted(alive_keys), finished=sorted(finished))

    def set_summary(self, markdown: str) -> None:
        """Text shown as the sweep's description. Only the newest one is written, when the writer has time."""
        self._summary = markdown
        self._writer.offer_summary(markdown)

    def set_progress(self, metrics: Mapping[str, float], markdown: str) -> None:
        """Where the sweep stands, on the parent run. Only the newest is written, when the writer has time."""
        self._progress = dict(metrics)
        self._writer.offer_progress(int(time.time() * 1000), metrics)
        self._writer.offer_summary(markdown)

    def log_sweep_artifact(self, path: Path) -> None:
        """Attach a copy of a file, as it is now, to the parent run."""
        copy = self._folder / "files" / uuid.uuid4().hex / path.name
        copy.parent.mkdir(parents=True)
        shutil.copyfile(path, copy)
        self._append("artifact", path=str(copy.relative_to(self._folder)))

    def close(self, status: Literal["FINISHED", "KILLED", "FAILED"], deadline_s: float = 60.0) -> int:
        """Write what is waiting, and end the parent run.

        Gives up after ``deadline_s`` seconds; of a FINISHED sweep, only once the store took nothing for as long.

        Returns:
            How many entries are still only in the journal. They are written when the sweep is continued.
        """
        self._closed = True
        self._writer.rejected.requeue(self._journal)
        if self._progress:
            self._append("progress", metrics=self._progress)
        if self._summary is not None:
            self._append("summary", text=self._summary)
        if not self._attach:
            self._append("close", status=status)
        self._writer.finish(deadline_s, patient=status == "FINISHED")
        left = self._journal.left + self._writer.rejected.count
        if left:
            _logger.warning(
                "%d tracking entries could not be written to MLflow%s; they are kept in %s and written when the sweep "
                "is continued",
                left,
                f" ({self._writer.last_error})" if self._writer.last_error else "",
                self._folder,
            )
        self._journal.close()
        return left

    @property
    def waiting(self) -> int:
        """Entries that the store has not confirmed yet."""
        return self._journal.left

    def _append(self, kind: str, *, durable: bool = True, **content: object) -> None:
        try:
            self._journal.append({"kind": kind, "time": int(time.time() * 1000), **content}, durable)
        except OSError as error:
            raise folder_error(str(self._folder), "write", error) from error
        self._writer.wake()
