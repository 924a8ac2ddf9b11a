"""The representation of trials and records in MLflow: params, tags, metrics and artifact files."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from core.config import Trial
from core.records import Evidence, SweepProgress, TrialRecord

NOTE = "mlflow.note.content"
"""Tag of a run with its description in Markdown."""
COLOUR_TAG = "mlflow.runColor"
"""Tag of a run with the colour that MLflow draws it in."""
OUTCOMES = {"stable": "#0072b2", "unstable": "#d55e00", "healed": "#009e73", "censored": "#6a7079"}
"""Colours of the outcomes, which are those of the report."""
LABELS = ("overestimation", "onset", "catastrophic")
ACCURACIES = ("clean", "pgd-10", "pgd-50x5", "square")
"""Attacks of the verdict whose accuracies are logged under ``outcome/``."""


def describe(trial: Trial | TrialRecord, attempts: int) -> dict[str, Any]:
    """The description of a trial, in JSON types, that is needed to create its run.

    It is made from the trial when the trial starts, or from its record if MLflow has not received the start.
    """
    fields = trial.record_fields() if isinstance(trial, Trial) else dict(trial)
    names = ("cell_id", "cell", "seed", "pins", "audit")
    return {"key": trial.key, "attempts": attempts} | {name: fields[name] for name in names}


def encode_param(value: Any) -> str:
    """The text of an option's value: text is unchanged, and other values become JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def identity_tags(trial: Mapping[str, Any], sweep: str) -> dict[str, str]:
    """Tags that identify a trial's run and group runs by cell. ``trial`` is a description made by `describe`."""
    return {
        "role": "trial",
        "sweep": sweep,
        "trial_key": trial["key"],
        "cell": trial["cell_id"],
        "seed": str(trial["seed"]),
        "audit": json.dumps(trial["audit"]),
        "pins": json.dumps(trial["pins"]),
        "attempts": str(trial["attempts"]),
    }


def verdict_tags(record: TrialRecord) -> dict[str, str]:
    """Tags of a finished trial: outcome, labels, reason of censoring, host and hardware."""
    verdict = record.verdict
    assert verdict is not None
    tags = {"outcome": verdict.outcome, "attempts": str(record.attempts)}
    tags |= {label: json.dumps(getattr(verdict, label)) for label in LABELS}
    tags["stopped_early"] = json.dumps(record.stopped_early)
    if verdict.censor_reason:
        tags["censor_reason"] = verdict.censor_reason
    tags[NOTE] = outcome_note(record)
    tags[COLOUR_TAG] = OUTCOMES[verdict.outcome]
    return tags | {name: record.provenance[name] for name in ("host", "hardware") if name in record.provenance}


def outcome_note(record: TrialRecord) -> str:
    """The description of a finished trial's run: its outcome, why, and the accuracies of the selected checkpoint."""
    verdict = record.verdict
    assert verdict is not None
    reasons = [verdict.censor_reason] if verdict.censor_reason else []
    reasons += [label for label in ("overestimation", "catastrophic") if getattr(verdict, label)]
    reasons += [f"onset at epoch {verdict.onset_epoch}"] if verdict.onset else []
    note = f"**{verdict.outcome}**" + (f": {', '.join(reasons)}" if reasons else "") + "."
    if record.stopped_early:
        note += f" Stopped after {record.epochs_run} of {record.epochs_planned} epochs."
    for evidence in verdict.evidence:
        if evidence.checkpoint == "selected":
            shown = ", ".join(f"{m.label} {100 * m.accuracy:.1f} %" for m in evidence.measurements)
            note += f" Accuracies of the selected checkpoint on test images: {shown}."
    return note


def outcome_metrics(record: TrialRecord) -> dict[str, float]:
    """Metrics of a finished trial, logged at step 0. A censored trial has only its cost, because it is not counted.

    Accuracies (``outcome/pgd-10_acc``, ``outcome/square-1000_acc``, named by `Measurement.label`) and ``outcome/gap``
    (PGD minus Square) are those of the selected checkpoint on test images.
    """
    verdict = record.verdict
    assert verdict is not None
    values: dict[str, float] = {
        "epochs_run": record.epochs_run,
        "epochs_saved": record.epochs_planned - record.epochs_run if record.stopped_early else 0,
        "device_seconds": record.device_seconds,
    }
    if verdict.outcome != "censored":
        values["unstable"] = verdict.outcome == "unstable"
        values |= {label: value for label in LABELS if (value := getattr(verdict, label)) is not None}
        if verdict.onset_epoch is not None:
            values["first_unstable_epoch"] = verdict.onset_epoch
        for evidence in verdict.evidence:
            if evidence.checkpoint == "selected":
                values |= _accuracies(evidence)
    return {f"outcome/{name}": float(value) for name, value in values.items()}


def _accuracies(evidence: Evidence) -> dict[str, float]:
    measured = {m.attack: m for m in evidence.measurements if m.attack in ACCURACIES}
    found = {f"{m.label}_acc": m.accuracy for m in measured.values()}
    if {"pgd-10", "square"} <= measured.keys():
        found["gap"] = measured["pgd-10"].accuracy - measured["square"].accuracy
    return found


def evaluation_metrics(record: TrialRecord) -> dict[str, float]:
    """Metrics of a trial's evaluations, such as ``evaluation/selected/square-5000_acc``.

    Each value comes from the evaluation on the most images. Accuracies are named by `Measurement.label`. Gaps are PGD
    minus AutoAttack and are named by the key of AutoAttack's mode.
    """
    values: dict[str, float] = {}
    measured = {(e.checkpoint, m.attack) for e in record.evaluations for m in e.measurements}
    for checkpoint, attack in sorted(measured):
        evidence = record.evaluation(checkpoint, attack)
        assert evidence is not None
        label = evidence.measurement(attack).label
        values[f"evaluation/{checkpoint}/{label}_acc"] = evidence.accuracy(attack)
        if attack.startswith("autoattack"):
            gap = evidence.accuracy("pgd-10") - evidence.accuracy(attack)
            values[f"evaluation/{checkpoint}/{attack}_gap"] = gap
    return values


def measure_metrics(record: TrialRecord) -> dict[str, float]:
    """Metrics of a trial's measures, such as ``measure/selected/margin/mean``, from the most images."""
    values: dict[str, float] = {}
    for checkpoint, measure in sorted({(m.checkpoint, m.measure) for m in record.measures}):
        found = record.measured(checkpoint, measure)
        assert found is not None
        known = {name: value for name, value in found.values.items() if value is not None}
        values |= {f"measure/{checkpoint}/{measure}/{name}": value for name, value in known.items()}
    return values


def final_metrics(record: TrialRecord) -> dict[str, float]:
    """All metrics of a finished trial that have one value: of its outcome, its evaluations and its measures."""
    return {**outcome_metrics(record), **evaluation_metrics(record), **measure_metrics(record)}


def last_values(record: TrialRecord) -> dict[str, float]:
    """The last value of each metric of the record's trace."""
    return {name: finite_or_nan(value) for name, value in record.trace.last_values().items()}


def progress_metrics(progress: SweepProgress) -> dict[str, float]:
    """Metrics of the sweep's own run. Unknown values are left out."""
    hours = progress.device_seconds / 3600
    values = {
        "done": progress.done,
        "censored": progress.censored,
        "running": len(progress.running),
        "pending": None if progress.pending is None else sum(progress.pending.values()),
        "eta_hours": None if progress.eta_seconds is None else progress.eta_seconds / 3600,
        "device_hours": hours,
        "lost_device_hours": progress.lost_device_seconds / 3600,
        "restarts": progress.restarts,
        "cost": None if progress.price is None else hours * progress.price,
    }
    return {f"progress/{name}": float(value) for name, value in values.items() if value is not None}


def record_digest(record: TrialRecord, name: str) -> str:
    """A digest of a record and its trial's name. It stays when a later version adds fields with defaults."""
    return hashlib.sha256(f"{name} {record.model_dump_json(exclude_defaults=True)}".encode()).hexdigest()[:16]


def finite_or_nan(value: float | None) -> float:
    """The value to log for a trace value: NaN replaces infinities, which MLflow would store as 1.8e308."""
    return float(value) if value is not None and math.isfinite(value) else math.nan


def artifact_names(record: TrialRecord) -> set[str]:
    """Names of the files that `write_artifacts` writes."""
    names = {"record.json", "trace.csv", "verdict.json", "config.yaml"}
    return (
        names
        | ({"evaluation.json"} if record.evaluations else set())
        | ({"measures.json"} if record.measures else set())
    )


def write_artifacts(record: TrialRecord, folder: Path) -> None:
    """Write ``record.json``, ``trace.csv``, ``verdict.json``, ``config.yaml``, and evaluations and measures if any."""
    assert record.verdict is not None
    (folder / "record.json").write_text(record.model_dump_json())
    (folder / "verdict.json").write_text(record.verdict.model_dump_json(indent=1))
    if record.evaluations:
        evaluations = [evidence.model_dump(mode="json") for evidence in record.evaluations]
        (folder / "evaluation.json").write_text(json.dumps(evaluations, indent=1))
    if record.measures:
        measures = [measured.model_dump(mode="json") for measured in record.measures]
        (folder / "measures.json").write_text(json.dumps(measures, indent=1))
    config = record.model_dump(
        mode="json", include={"sweep", "cell_id", "seed", "pins", "audit", "cell", "protocol", "provenance"}
    )
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    columns = list(dict.fromkeys(name for row in record.trace for name in row))
    with (folder / "trace.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(record.trace)
