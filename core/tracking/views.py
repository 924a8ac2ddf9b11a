"""Views of a sweep's trials in MLflow's user interface, which a link opens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from core.tracking.encode import OUTCOMES

MODEL_TRAINING = "workflowType=machine_learning"
"""Query that selects MLflow's pages about training; without it, MLflow shows its pages about prompts and traces."""
LOCAL_UI = "http://127.0.0.1:5000"
"""Default address of `mlflow ui`."""
VIEW_TAG = "mlflow.sharedViewState."
"""Start of the experiment's tags in which MLflow keeps the views that its *Share* button makes."""
LINES = ("val/fosc", "val/pgd10_acc", "val/sgcs", "val/clean_acc")
"""Metrics by epoch that the view shows, the most telling first."""
AXES = ("gap", "unstable")
"""Outcomes at the right of the parallel coordinates, which show only trials that have all of them."""


def user_interface(uri: str) -> tuple[str, str]:
    """Address of MLflow's user interface, and a note on how to start it, which is empty for a server.

    Args:
        uri: absolute tracking address.
    """
    if uri.startswith("http"):
        return uri.rstrip("/"), ""
    return LOCAL_UI, f"The links work while this command runs: mlflow ui --backend-store-uri {uri}"


def view_key(sweep: str) -> str:
    """The key of the sweep's view in its link."""
    return f"unmask-{sweep}"


def trials_link(experiment: str, sweep: str) -> str:
    """The address of the view of a sweep's trials, relative to MLflow's user interface."""
    return f"#/experiments/{experiment}/runs?viewStateShareKey={view_key(sweep)}&compareRunsMode=CHART&{MODEL_TRAINING}"


def run_link(experiment: str, run: str) -> str:
    """The address of the page of a run, relative to MLflow's user interface."""
    return f"#/experiments/{experiment}/runs/{run}?{MODEL_TRAINING}"


def trials_view(sweep: str, params: Sequence[str]) -> str:
    """The state of the page that shows the sweep's trials, stable against unstable ones, as MLflow 3 stores it.

    The charts are lines by epoch and parallel coordinates. Every trial has the colour of its outcome, which is in its
    run's tag `core.tracking.encode.COLOUR_TAG`.

    Args:
        sweep: name of the sweep.
        params: names of the options that tell the trials apart.
    """
    lines, coordinates = "unmask", "unmask-coordinates"
    outcomes = [f"outcome/{name}" for name in AXES]
    charts = [_chart("LINE", lines, metric, xAxisKey="step", useGlobalXaxisKey=False) for metric in LINES]
    parallel = _chart(
        "PARALLEL", coordinates, "parallel", selectedParams=[*params], selectedMetrics=outcomes, showAllRuns=True
    )
    columns = ["tags.`outcome`", *(f"params.`{name}`" for name in params), *(f"metrics.`{name}`" for name in outcomes)]
    state: Mapping[str, Any] = {
        "searchFilter": f"tags.sweep = '{sweep}' AND tags.role = 'trial'",
        "orderByKey": "tags.`outcome`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": [*charts, parallel],
        "compareRunSections": [
            _section(lines, f"{sweep}: {', '.join(OUTCOMES)}", columns=2),
            _section(coordinates, f"{sweep}: options and outcomes", columns=1),
        ],
        "isAccordionReordered": True,
        "groupBy": None,
    }
    return json.dumps(state)


def _section(section: str, name: str, columns: int) -> dict[str, Any]:
    """A section of charts, which are so many beside each other. Axes of parallel coordinates need the whole width."""
    shown = {"uuid": section, "name": name, "display": True, "isReordered": True}
    return {**shown, "deleted": False, "isGenerated": False, "columns": columns}


def _chart(kind: str, section: str, metric: str, **options: Any) -> dict[str, Any]:
    chart = {"type": kind, "uuid": f"{section}-{metric}", "metricSectionId": section, "deleted": False}
    chart |= {"isGenerated": False, "runsCountToCompare": 100}
    return chart | ({"metricKey": metric} if kind == "LINE" else {}) | options
