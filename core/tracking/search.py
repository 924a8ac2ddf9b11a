"""Searches in the project's MLflow experiment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from core.tracking.store import EXPERIMENT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def experiment_id_of(client: MlflowClient) -> str:
    """Id of the project's experiment.

    Raises:
        LookupError: the experiment does not exist.
    """
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        raise LookupError(f"experiment {EXPERIMENT!r} does not exist; `prepare_store` creates it")
    return found.experiment_id


def search_runs(client: MlflowClient, condition: str) -> Iterable[Run]:
    """All runs of the project that match MLflow's filter ``condition`` and are not deleted, oldest first."""
    experiments = [experiment_id_of(client)]
    page = None
    while True:
        found = client.search_runs(
            experiments, condition, max_results=500, order_by=["attributes.start_time ASC"], page_token=page
        )
        yield from found
        page = found.token
        if not page:
            return
