"""Read access to a sweep's runs in MLflow, and the upload of files to the sweep's own run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from core.tracking.client import open_client
from core.tracking.search import search_runs
from core.tracking.store import EXPERIMENT, check_store, explained
from core.tracking.views import run_link

EVALUATION_TABLE = "evaluation.md"
"""Name of the artifact of a sweep's run that contains the table of evaluations."""


class TrackedSweep:
    """A sweep with a run in MLflow. Another process may train the sweep and write its runs at the same time.

    Args:
        uri: address of the store.
        sweep: name of the sweep.

    Attributes:
        page: address of the page of the sweep's run, relative to MLflow's user interface.
        pages: addresses of the pages of the trials' runs, relative to the user interface, by the trial's key.

    Raises:
        ValueError: the store does not exist or has no run of the sweep.
    """

    def __init__(self, uri: str, sweep: str) -> None:
        self._uri = check_store(uri)
        self._client = open_client(self._uri)
        with explained(self._uri):
            runs = list(search_runs(self._client, f"tags.sweep = '{sweep}'"))
        parent = next((run for run in runs if run.data.tags.get("role") == "sweep"), None)
        if parent is None:
            raise ValueError(f"sweep {sweep} has no run in experiment {EXPERIMENT!r} of --mlflow-uri {self._uri}")
        self._run_id = parent.info.run_id
        self.page = run_link(parent.info.experiment_id, self._run_id)
        trials = [run for run in reversed(runs) if "trial_key" in run.data.tags]
        self.pages = {r.data.tags["trial_key"]: run_link(r.info.experiment_id, r.info.run_id) for r in trials}

    def log_files(self, files: Iterable[Path], folder: str | None = None) -> None:
        """Copy files to the artifacts of the sweep's run. Artifacts with the same name are replaced.

        Args:
            files: the files to copy.
            folder: folder of the artifacts; None for the top folder.

        Raises:
            ValueError: the store does not accept a file.
        """
        with explained(self._uri):
            for file in files:
                self._client.log_artifact(self._run_id, str(file), folder)
