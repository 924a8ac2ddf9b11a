"""The list of all trials."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.questions.rates import group_by_cell, outcome, trial_names
from analysis.report.context import ReportContext
from analysis.report.formatting import NOTHING, format_seconds
from core.records import TrialRecord


@dataclass(frozen=True)
class TrialRow:
    """One trial in the list; `link` is the address of its MLflow run."""

    name: str
    cell_id: str
    key: str
    link: str | None
    outcome: str
    reason: str
    labels: str
    onset: str
    epochs: str
    device_time: str


def trial_rows(context: ReportContext) -> list[TrialRow]:
    """All trials by cell and seed: the names that all outputs use, the ids of their cells, and their keys.

    Raises:
        ValueError: a link is not an http or https address.
    """
    for link in context.links.values():
        if not link.startswith(("http://", "https://")):
            raise ValueError(f"link {link!r} must start with http:// or https://")
    names = trial_names(context.records)
    return [
        TrialRow(
            name=names.of(record),
            cell_id=record.cell_id,
            key=record.key,
            link=context.links.get(record.key),
            outcome=outcome(record),
            reason=(record.verdict.censor_reason or "") if record.verdict else "",
            labels=_labels(record),
            onset=_epochs(record),
            epochs=f"{record.epochs_run}/{record.epochs_planned}",
            device_time=format_seconds(record.device_seconds),
        )
        for group in group_by_cell(context.records).values()
        for record in group
    ]


def _labels(record: TrialRecord) -> str:
    verdict = record.verdict
    held = {
        "onset": verdict and verdict.onset,
        "overestimation": verdict and verdict.overestimation,
        "catastrophic": verdict and verdict.catastrophic,
        "stopped": record.stopped_early,
        "audit": record.audit,
    }
    return ", ".join(name for name, holds in held.items() if holds) or NOTHING


def _epochs(record: TrialRecord) -> str:
    if record.verdict is None or record.verdict.onset_epoch is None:
        return NOTHING
    recovered = f" → {record.verdict.recovery_epochs[0]}" if record.verdict.recovery_epochs else ""
    return f"{record.verdict.onset_epoch}{recovered}"
