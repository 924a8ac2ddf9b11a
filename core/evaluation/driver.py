"""The driver of an evaluation of a sweep's checkpoints or of a single checkpoint file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console

from core.checkpoints.checkpoint import load_checkpoint, locate
from core.config import RunOptions
from core.config.naming import TrialNames
from core.evaluation.collect import merge
from core.evaluation.measures.collect import merge_measured
from core.evaluation.measures.task import pack
from core.evaluation.options import EvaluationOptions
from core.evaluation.runner import open_role, run_targets
from core.evaluation.target import MeasureTarget, Planner, Target, evaluable
from core.ledger.driver_lock import driver_lock
from core.ledger.ledger import Ledger
from core.ledger.plugins import use_stored_plugins
from core.ledger.snapshot import SweepReader, stored_sweep
from core.records import CheckpointName, Measured, Measurement, TrialRecord
from core.storage.s3 import OUTAGE_S
from core.tracking import open_tracker
from core.tracking.tracked_sweep import EVALUATION_TABLE

Markdown = Callable[[Sequence[TrialRecord]], str]


@dataclass(frozen=True)
class EvaluationResult:
    """The result of an evaluation of a sweep.

    Attributes:
        trials: records of all finished trials with their evaluations, and of open trials with status ``running``.
        interrupted: True if the run was interrupted.
        untracked: what MLflow lacks of the sweep, and why; empty if MLflow has everything.
    """

    trials: list[TrialRecord]
    interrupted: bool
    untracked: str


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
    """Evaluate the selected checkpoints of a sweep's finished trials. Stored results are not computed again.

    Args:
        name: the sweep's name.
        options: the attacks, checkpoints and images.
        run: the cluster, its resources and the folder of the data sets.
        storage: absolute folder or URI that the sweep's files are in.
        mlflow_uri: MLflow tracking URI.
        console: the terminal or log that shows progress.
        markdown: makes the table of evaluations from all trials; it is stored with the sweep's run in MLflow as
            ``evaluation.md``.
        summary: makes the sweep's table from all trials; it becomes the description of the sweep's run in MLflow.

    Raises:
        ValueError: an option cannot work; no attack was started.
        EvaluationError: an attack failed; the results of finished attacks are stored.
    """
    ledger = stored_sweep(storage, name)
    snapshot = SweepReader(ledger).read()
    use_stored_plugins(ledger.store, snapshot.description)
    protocol = snapshot.description.protocol_options()
    records = {record.key: record for record in snapshot.finished}
    names = TrialNames(snapshot.description.cells.values())
    planner = Planner(options, run.data_dir)
    targets = [
        target
        for record in evaluable(records.values())
        for target in planner.trial_targets(record, names.of(record), ledger.trial_store(record.key), protocol)
    ]
    if not targets:
        raise ValueError(
            f"--which {' '.join(options.which)}: no finished, uncensored trial of sweep {name} has such a checkpoint"
        )
    role = open_role(targets, options, run, storage)
    left = Counter(target.trial for target in targets)
    ledger.store.probe(lambda line: console.print(line, highlight=False, soft_wrap=True, markup=False))
    with driver_lock(ledger.store, name, OUTAGE_S) as lease:
        ledger = Ledger(ledger.store.guarded(lease.check, OUTAGE_S), name)
        # Another evaluation or a sweep may have stored results since the targets were chosen.
        snapshot = SweepReader(ledger).read()
        records = {record.key: record for record in snapshot.finished}
        open_trials = [trial for trial in snapshot.trials if trial.status == "running"]
        tracker = open_tracker(mlflow_uri, ledger, protocol, names, records.values())

        def keep(target: Target | MeasureTarget, found: tuple[Measurement, ...] | Measured) -> None:
            record = records[target.trial]
            if isinstance(target, MeasureTarget) and isinstance(found, Measured):
                values, store = pack(target.stored_values()), ledger.trial_store(record.key)
                for checkpoint in target.checkpoints:
                    store.write(f"values-{checkpoint}-{found.measure}.npz", values)
                records[record.key] = _with_measure(record, target.checkpoints, found)
                ledger.write_measures(records[record.key])
            elif not isinstance(found, Measured):
                records[record.key] = _with_evaluation(record, target.checkpoints, found)
                ledger.write_evaluations(records[record.key])
            left[record.key] -= 1
            if not left[record.key]:
                tracker.finish_trial(records[record.key])

        with tracker:
            interrupted = run_targets(ledger.store, targets, options, run, console, role, keep)
            trials = [*records.values(), *open_trials]
            tracker.log_sweep_text(EVALUATION_TABLE, markdown(trials))
            tracker.set_summary(summary(trials))
            untracked = tracker.close(None)
    return EvaluationResult(trials, interrupted, untracked)


def _with_evaluation(
    record: TrialRecord, checkpoints: Sequence[CheckpointName], found: tuple[Measurement, ...]
) -> TrialRecord:
    evaluations = record.evaluations
    for checkpoint in checkpoints:
        evaluations = merge(evaluations, checkpoint, _epoch(record, checkpoint), found)
    return record.model_copy(update={"evaluations": evaluations})


def _with_measure(record: TrialRecord, checkpoints: Sequence[CheckpointName], found: Measured) -> TrialRecord:
    measures = record.measures
    for checkpoint in checkpoints:
        place = {"checkpoint": checkpoint, "epoch": _epoch(record, checkpoint)}
        measures = merge_measured(measures, found.model_copy(update=place))
    return record.model_copy(update={"measures": measures})


def evaluate_file(
    path: str, options: EvaluationOptions, run: RunOptions, console: Console
) -> tuple[tuple[Measurement, ...], tuple[Measured, ...]] | None:
    """Evaluate one checkpoint file. The results are stored in ``evaluation`` beside the file, and no record changes.

    Returns:
        The measurements and the measures; None if the evaluation was interrupted.

    Raises:
        ValueError: an option cannot work; no attack was started.
        EvaluationError: an attack failed; the results of finished attacks are stored.
    """
    store, file = locate(path)
    targets = Planner(options, run.data_dir).file_targets(store, file, load_checkpoint(store, file))
    accuracies: list[Measurement] = []
    measures: list[Measured] = []

    def keep(target: Target | MeasureTarget, found: tuple[Measurement, ...] | Measured) -> None:
        if isinstance(found, Measured):
            measures.append(found)
        else:
            accuracies.extend(found)

    role = open_role(targets, options, run, store.root)
    if run_targets(store, targets, options, run, console, role, keep):
        return None
    return tuple(accuracies), tuple(measures)


def _epoch(record: TrialRecord, checkpoint: CheckpointName) -> int:
    assert record.verdict is not None
    return next(evidence.epoch for evidence in record.verdict.evidence if evidence.checkpoint == checkpoint)
