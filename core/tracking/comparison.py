"""Comparison of a finished trial's run in MLflow with what its record says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class RunContent:
    """What a run must have. It may have more.

    Attributes:
        status: MLflow's status of the run.
        tags: texts by name.
        params: texts by name.
        metrics: the last value of each metric by name. The history is not compared, because MLflow gives it for one
            metric at a time.
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


def _texts(metrics: Mapping[str, float]) -> dict[str, str]:
    """Metrics as texts, which are equal for two NaN, and for 0 and -0, because SQLite keeps no sign of 0."""
    return {name: repr(value + 0.0) for name, value in metrics.items()}
