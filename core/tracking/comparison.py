"""Comparison of a finished trial's run in MLflow with what its record says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.quantity import quantity

if TYPE_CHECKING:
    from mlflow.entities import FileInfo, Run


@dataclass(frozen=True)
class RunContent:
    """What a run must have. It may have more.

    Attributes:
        status: MLflow's status of the run.
        tags: texts by name.
        params: texts by name.
        metrics: the last value of each metric by name. Of the earlier values, only the epochs that have one are
            compared (`lacking_history`), because MLflow gives the values of one metric at a time.
    """

    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]


def difference(run: Run, expected: RunContent) -> str | None:
    """The first thing in which the run differs, in words; None if it has everything."""
    if run.info.status != expected.status:
        return f"its run has the status {run.info.status}"
    for kind, wanted, found in (
        ("tag", expected.tags, run.data.tags),
        ("parameter", expected.params, run.data.params),
        ("metric", _texts(expected.metrics), _texts(run.data.metrics)),
    ):
        for name, value in wanted.items():
            if found.get(name) != value:
                return f"its run has another {kind} {name}" if name in found else f"its run has no {kind} {name}"
    return None


def lacking_history(expected: Collection[int], stored: Collection[int]) -> str | None:
    """How the epochs that a run has values of differ from those of its record, in words; None if they do not."""
    for epochs, what in (({*expected} - {*stored}, "lacks"), ({*stored} - {*expected}, "has surplus values of")):
        if epochs:
            return f"its run {what} {quantity(len(epochs), 'epoch')}, the first one {min(epochs)}"
    return None


def lacking_artifacts(expected: Collection[str], stored: Collection[FileInfo]) -> str | None:
    """The files that a run lacks or that are empty, in words; None if it has all of them."""
    lacking = sorted({*expected} - {file.path for file in stored if file.file_size != 0})
    return f"its run lacks {', '.join(lacking)}" if lacking else None


def _texts(metrics: Mapping[str, float]) -> dict[str, str]:
    """Metrics as texts, which are equal for two NaN, and for 0 and -0, because SQLite keeps no sign of 0."""
    return {name: repr(value + 0.0) for name, value in metrics.items()}
