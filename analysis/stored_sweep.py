"""A stored sweep for notebooks and scripts: tables, rates and trained networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from analysis.questions.countable_trials import UNKNOWN
from analysis.questions.rates import Label, has_label, varying_factors
from analysis.report.context import report_context
from analysis.report.options import ReportOptions
from core.allocation import SeedHistory
from core.config.naming import TrialNames
from core.ledger.snapshot import read_snapshot, stored_sweep
from core.records import TrialRecord

if TYPE_CHECKING:
    import pandas as pd

LOAD_CHECKPOINT = "core.checkpoints.checkpoint:load_checkpoint"
"""Imports torch, and is therefore imported when a network is loaded."""


@dataclass(frozen=True)
class StoredSweep:
    """A sweep as its storage had it when it was loaded.

    Attributes:
        name: name of the sweep.
        storage: absolute folder, or ``s3://`` address, that holds the sweep's folder.
        records: the records of all trials that have ended, with their traces.
        open_trials: trials that are running or wait; they decide which finished trials may be counted.
        history: the sweep's first seed and how its seeds were chosen, which decide what may be counted.
    """

    name: str
    storage: str
    records: Sequence[TrialRecord]
    open_trials: Sequence[TrialRecord] = ()
    history: SeedHistory = UNKNOWN

    @cached_property
    def factors(self) -> list[str]:
        """Names of the options that vary in the sweep."""
        return varying_factors(self.records)

    @cached_property
    def names(self) -> TrialNames:
        """The names of trials, as all outputs have them."""
        return TrialNames({record.cell_id: record.cell for record in self.records}.values())

    def trials(self) -> pd.DataFrame:
        """One row per finished trial, indexed by the trial's key.

        Columns: ``name``, ``cell`` (its id), the options that vary, ``seed``, ``outcome`` (stable, unstable, healed or
        censored), ``unstable`` (True, False, or None for a censored trial), ``overestimation``, ``catastrophic``,
        ``onset``, ``onset_epoch``, ``epochs_run``, ``stopped_early``, ``device_seconds``, ``infeasible`` (share of test
        images, see `core.records.Feasibility`), and accuracies in [0, 1] named ``CHECKPOINT/ATTACK``, such as
        ``selected/pgd-10`` or ``last/square-1000``, from verdicts and later evaluations.
        """
        return _frame([self._trial(record) for record in self.records], "trial")

    def epochs(self) -> pd.DataFrame:
        """One row per trial and epoch, indexed by both. Columns: the options that vary, ``seed`` and the trace's."""
        rows = [
            {"trial": record.key, "epoch": row["epoch"], **self._place(record), **row}
            for record in self.records
            for row in record.trace
        ]
        return _frame(rows, ["trial", "epoch"])

    def rates(self, label: Label | None = None, level: float = 0.95) -> pd.DataFrame:
        """One row per cell, indexed by its id: what the report's table says.

        Columns: the options that vary, ``unstable``, ``trials`` (counted), ``rate``, ``low`` and ``high`` (the interval
        that suits the sweep's design), ``interval`` (its kind), ``censored``, ``healed``, and mean accuracies.

        Args:
            label: which label's rate; None: the one that the sweep's design can answer.
            level: coverage of the intervals, in (0, 1).
        """
        options = ReportOptions(label=label, level=level)
        everything = [*self.records, *self.open_trials]
        rates = report_context(self.name, everything, options, history=self.history).cells
        rows = [
            {
                "cell": rate.cell_id,
                **rate.factors,
                "unstable": rate.unstable,
                "trials": rate.trials,
                "rate": rate.rate,
                "low": rate.interval.low,
                "high": rate.interval.high,
                "interval": rate.interval.kind,
                "censored": rate.censored,
                "healed": rate.healed,
                "clean": rate.clean_accuracy,
                "pgd-10": rate.pgd10_accuracy,
                "pgd-50x5": rate.pgd50_accuracy,
                "square": rate.square_accuracy,
            }
            for rate in rates
        ]
        return _frame(rows, "cell")

    def record(self, key: str) -> TrialRecord:
        """The whole record of a trial, with its verdict and evidence.

        Raises:
            KeyError: no finished trial has this key.
        """
        for record in self.records:
            if record.key == key:
                return record
        raise KeyError(key)

    def model(self, key: str, checkpoint: str = "selected") -> Any:
        """A trained network on the CPU, in eval mode: images in [0, 1] to logits. It imports torch.

        Returns:
            A ``torch.nn.Module``; the type is not named here, because `analysis` never imports torch itself.

        Args:
            key: the trial's key.
            checkpoint: ``selected``, ``gated`` or ``last``.

        Raises:
            KeyError: no finished trial has this key.
            ValueError: the trial has no such checkpoint.
            OSError: the file does not match its record.
        """
        file = f"{checkpoint}.pt"
        sha256 = self.record(key).checkpoints.get(file)
        if sha256 is None:
            raise ValueError(f"trial {key} has no checkpoint {checkpoint}")
        store = stored_sweep(self.storage, self.name).trial_store(key)
        return resolve_name(LOAD_CHECKPOINT)(store, file, sha256).model

    def _place(self, record: TrialRecord) -> dict[str, Any]:
        return {**{name: record.cell.get(name) for name in self.factors}, "seed": record.seed}

    def _trial(self, record: TrialRecord) -> dict[str, Any]:
        verdict = record.verdict
        assert verdict is not None
        accuracies = {
            f"{evidence.checkpoint}/{measurement.label}": measurement.accuracy
            for evidence in (*verdict.evidence, *record.evaluations)
            for measurement in evidence.measurements
        }
        return {
            "trial": record.key,
            "name": self.names.of(record),
            "cell": record.cell_id,
            **self._place(record),
            "outcome": verdict.outcome,
            "unstable": has_label(record, "any"),
            "overestimation": verdict.overestimation,
            "catastrophic": verdict.catastrophic,
            "onset": verdict.onset,
            "onset_epoch": verdict.onset_epoch,
            "epochs_run": record.epochs_run,
            "stopped_early": record.stopped_early,
            "device_seconds": record.device_seconds,
            "infeasible": record.feasibility.share if record.feasibility else None,
            **accuracies,
        }


def load_sweep(name: str, storage: str | Path = "results") -> StoredSweep:
    """A stored sweep, finished or still running.

    Args:
        name: name of the sweep, as ``--name`` gave it.
        storage: the folder, or ``s3://BUCKET/PREFIX``, of ``--storage``.

    Raises:
        ValueError: the storage has no such sweep, or a file of it is damaged.
    """
    root = str(storage) if "://" in str(storage) else str(Path(storage).resolve())
    snapshot = read_snapshot(root, name)
    waiting = [trial for trial in snapshot.trials if trial.status == "running"]
    return StoredSweep(name, root, snapshot.finished, waiting, snapshot.history)


def _frame(rows: list[dict[str, Any]], index: str | list[str]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(rows)
    return frame.set_index(index) if rows else frame
