"""Files added to a sweep's run from outside, also while another process runs and tracks the sweep."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from core.tracking.client import open_client
from core.tracking.runs import search_runs
from core.tracking.store import check_store, explained


def log_sweep_files(
    uri: str, sweep: str, files: Iterable[Path], folder: str | None = None, experiment: str = "unmask"
) -> str:
    """Copy files to the artifacts of the sweep's run, over older ones of the same name.

    Args:
        uri: of the store.
        sweep: its name.
        files: what is logged.
        folder: where among the artifacts; None: at the top.
        experiment: that the sweep is in.

    Returns:
        Where the run is among the pages of MLflow's user interface: ``experiments/1/runs/...``.

    Raises:
        ValueError: there is no such store or no such sweep, or the store does not take the files.
    """
    uri = check_store(uri)
    client = open_client(uri)
    with explained(uri):
        run = next(iter(search_runs(client, experiment, f"tags.role = 'sweep' and tags.sweep = '{sweep}'")), None)
        if run is None:
            raise ValueError(f"--sweep {sweep!r} has no run in experiment {experiment!r} at {uri}")
        for file in files:
            client.log_artifact(run.info.run_id, str(file), folder)
    return f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
