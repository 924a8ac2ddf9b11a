"""Evaluates the checkpoints of a sweep, or one alone, and stores what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from core.config import RunOptions
from core.engine.provenance import git_commit
from core.evaluation.checkpoint import load_checkpoint, locate
from core.evaluation.collect import merge
from core.evaluation.options import EvaluationOptions
from core.evaluation.runner import run_targets
from core.evaluation.target import Planner, Target, evaluable
from core.ledger.ledger import Ledger
from core.records import CheckpointName, Measurement, TrialRecord
from core.storage import Store
from core.sweep.driver import driver_lock, journal_folder
from core.tracking import SweepTracker, prepare_store

Markdown = Callable[[Sequence[TrialRecord]], str]


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation of a sweep ended with.

    Attributes:
        records: all finished trials of the sweep, with their evaluations.
        interrupted: the run was told to stop.
        untracked: entries that MLflow does not have yet; they wait in the journal.
    """

    records: list[TrialRecord]
    interrupted: bool
    untracked: int


def evaluate_sweep(
    name: str,
    options: EvaluationOptions,
    run: RunOptions,
    *,
    storage: str,
    mlflow_uri: str,
    console: Console,
    markdown: Markdown,
    summary: Markdown,
) -> EvaluationResult:
    """Evaluate the asked checkpoints of a sweep's finished trials; what is stored already is not done again.

    Args:
        name: of the sweep.
        options: what to measure.
        run: where and with what.
        storage: absolute folder or URI that the sweep's files are in.
        mlflow_uri: MLflow tracking URI.
        console: where progress goes.
        markdown: the table of evaluations, attached to the sweep's run as ``evaluation.md``.
        summary: the sweep's own table, now with what was found: its run's description.

    Raises:
        ValueError: an option cannot work; nothing was started.
        EvaluationError: an attack failed; what was done is stored.
    """
    parent = Store(storage)
    store = parent.child(name)
    ledger = Ledger(store, name)
    protocol = ledger.protocol()
    if protocol is None:
        known = ", ".join(parent.folders()) or "none"
        raise ValueError(f"--sweep {name}: there is no such sweep in {storage}; known are {known}")
    records = ledger.records()
    planner = Planner(options, run.data_dir)
    targets = [
        target
        for record in evaluable(records.values())
        for target in planner.trial_targets(record, ledger.trial_store(record.key), protocol)
    ]
    if not targets:
        raise ValueError(
            f"--which {' '.join(options.which)}: no finished, uncensored trial of sweep {name} has such a checkpoint"
        )
    left = Counter(target.trial for target in targets)
    store.probe()
    with driver_lock(store, name):
        uri = prepare_store(mlflow_uri)
        tracker = SweepTracker(
            uri,
            name,
            "unmask",
            journal_folder(store),
            ledger.record,
            protocol=protocol,
            commit=git_commit(),
            attach=True,
        )

        def keep(target: Target, measured: tuple[Measurement, ...]) -> None:
            record = records[target.trial]
            evaluations = record.evaluations
            for checkpoint in target.checkpoints:
                evaluations = merge(evaluations, checkpoint, _epoch(record, checkpoint), measured)
            records[record.key] = record.model_copy(update={"evaluations": evaluations})
            ledger.write_evaluations(records[record.key])
            left[record.key] -= 1
            if not left[record.key]:
                tracker.finish_trial(records[record.key])

        with tracker:
            interrupted = run_targets(store, targets, options, run, console, keep)
            with TemporaryDirectory() as folder:
                table = Path(folder) / "evaluation.md"
                table.write_text(markdown(list(records.values())))
                tracker.log_sweep_artifact(table)
            tracker.set_summary(summary(list(records.values())))
            untracked = tracker.close("FINISHED")
    return EvaluationResult(list(records.values()), interrupted, untracked)


def evaluate_file(
    path: str, options: EvaluationOptions, run: RunOptions, console: Console
) -> tuple[Measurement, ...] | None:
    """Evaluate one checkpoint that a trial wrote; blocks are kept in ``evaluation`` beside it, no record changes.

    Returns:
        What was measured; None if it was interrupted.

    Raises:
        ValueError: an option cannot work; nothing was started.
        EvaluationError: an attack failed; what was done is stored.
    """
    store, file = locate(path)
    target = Planner(options, run.data_dir).file_target(store, file, load_checkpoint(store, file))
    found: list[tuple[Measurement, ...]] = []
    run_targets(store, [target], options, run, console, lambda _, measured: found.append(measured))
    return found[0] if found else None


def _epoch(record: TrialRecord, checkpoint: CheckpointName) -> int:
    assert record.verdict is not None
    return next(evidence.epoch for evidence in record.verdict.evidence if evidence.checkpoint == checkpoint)
