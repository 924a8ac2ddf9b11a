"""The MLflow client as this project uses it: no telemetry, no chatter, no hidden minutes of retries."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow's own retries stall for minutes where a server is dead, and repeat a request that creates a run although the
# first one was carried out: the run is there twice. The writer repeats instead, and looks first.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


def set_up_mlflow() -> None:
    """Import MLflow (about 1.3 s, once per process) with this project's settings; the user's own variables win."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401

    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)


def open_client(uri: str) -> MlflowClient:
    """A client of the store at an absolute ``uri``.

    For a sqlite address MLflow opens the file here, and would create a schema in a new one: see `prepare_store`.
    """
    set_up_mlflow()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)
