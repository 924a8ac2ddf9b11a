"""The MLflow client with this project's settings: no telemetry, few messages and no retries inside the client."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow's own retries take minutes if the server is down. They may also repeat a request that creates a run although
# the first request succeeded, which leaves two runs. The writer repeats requests instead, and first looks for the run.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


def set_up_mlflow() -> None:
    """Import MLflow (about 1.3 s, once per process) with this project's settings.

    Environment variables that the user has set take precedence.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401

    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)


def open_client(uri: str) -> MlflowClient:
    """A client of the store at an absolute ``uri``.

    For a sqlite address MLflow opens the file here. `prepare_store` must have created it, because MLflow would create
    the schema of a new file in a way that is not safe with several processes.
    """
    set_up_mlflow()
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)
