"""Preparation of an MLflow store before its first client opens it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from core.temporary import TemporaryError
from core.tracking.address import ALLOWED, SQLITE, absolute_uri, database_path
from core.tracking.backup import back_up_if_outdated
from core.tracking.client import open_client, set_up_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

ANSWER_SECONDS = "10"
ARTIFACTS = "mlartifacts"
"""Name of the folder of artifacts beside a database."""
EXPERIMENT = "unmask"
"""Name of the MLflow experiment that contains all sweeps."""
UNKNOWN_REVISION = "Can't locate revision"
"""Alembic's words about a schema that this MLflow does not know."""
_logger = logging.getLogger(__name__)


def prepare_store(uri: str) -> str:
    """Check the store, create or upgrade its sqlite schema and the experiment, and return the absolute address.

    The driver must call this before another process opens the store, because MLflow's own creation of the schema
    damages the file if several processes start it at the same time.

    Raises:
        ValueError: the address is not allowed, no usable MLflow store answers there, the experiment was deleted, or the
            database was copied or moved from another folder.
    """
    uri = absolute_uri(uri)
    set_up_mlflow()
    database = database_path(uri)
    if database is not None:
        _prepare_database(uri, database)
    with _short_timeouts(), explained(uri):
        client = open_client(uri)
        found = client.get_experiment_by_name(EXPERIMENT)
        if found is None:
            _create_experiment(client, database)
    if found is not None and found.lifecycle_stage != "active":
        raise ValueError(
            f"experiment {EXPERIMENT!r} at --mlflow-uri {uri} was deleted; restore it with "
            f"`MLFLOW_TRACKING_URI={uri} mlflow experiments restore -x {found.experiment_id}` or use another store"
        )
    if found is not None:
        _refuse_moved(uri, found)
    return uri


def creates_database(uri: str) -> bool:
    """Whether `prepare_store` will create a database, which takes seconds."""
    database = database_path(absolute_uri(uri))
    return database is not None and not database.exists() and os.access(database.parent, os.W_OK)


def check_store(uri: str) -> str:
    """The absolute address of an existing store. No database is created, but one of an earlier MLflow is upgraded.

    Raises:
        ValueError: as in `prepare_store`, or the database does not exist. An experiment may be missing or deleted.
    """
    uri = absolute_uri(uri)
    database = database_path(uri)
    if database is not None and not database.exists():
        raise ValueError(f"--mlflow-uri {uri}: there is no database yet; run a sweep first or name another store")
    set_up_mlflow()
    with _short_timeouts(), explained(uri):
        if database is not None:
            with FileLock(database.with_name(f".{database.name}.lock")):
                _upgrade(uri, database)
        found = open_client(uri).get_experiment_by_name(EXPERIMENT)
    if found is not None:
        _refuse_moved(uri, found)
    return uri


def _refuse_moved(uri: str, experiment: Experiment) -> None:
    """Refuse a database that was copied or moved: its artifacts would be written to the folder that it came from."""
    database, location = database_path(uri), experiment.artifact_location
    if database is None or not location.endswith(f"/{ARTIFACTS}"):
        return
    if location != (database.parent / ARTIFACTS).as_uri():
        raise ValueError(
            f"--mlflow-uri {uri} was copied or moved: its artifacts belong to {location.removeprefix('file://')}. "
            "Delete the database and write it again with jobs/sync_mlflow.py"
        )


def _create_experiment(client: MlflowClient, database: Path | None) -> None:
    # With a database and no server, MLflow's default folder of artifacts would be relative to each process's folder.
    location = (database.parent / ARTIFACTS).as_uri() if database else None
    try:
        client.create_experiment(EXPERIMENT, artifact_location=location)
    except Exception:
        # Another driver may have created it, or this request although its answer was lost.
        if client.get_experiment_by_name(EXPERIMENT) is None:
            raise


def _prepare_database(uri: str, database: Path) -> None:
    # In the folder for temporary files, another user could make a file of the lock's name.
    with explained(uri), FileLock(database.with_name(f".{database.name}.lock")):
        if database.exists():
            _upgrade(uri, database)
            return
        # The database is created under another name and renamed, because a driver may be killed during the creation.
        draft = database.with_name(f".{database.name}.{os.getpid()}.draft")
        draft.touch()  # MLflow repeats for a minute and a half what it cannot create
        try:
            _open_database(f"{SQLITE}{draft}")
            draft.replace(database)
        finally:
            draft.unlink(missing_ok=True)


def _upgrade(uri: str, database: Path) -> None:
    """Bring the schema of an earlier MLflow to that of this version, after a copy. A file without tables gets them."""
    from mlflow.exceptions import MlflowException

    copy = back_up_if_outdated(database, lambda file: _open_database(f"{SQLITE}{file}"))
    try:
        _open_database(uri)
    except MlflowException as error:
        if "mlflow db upgrade" not in str(error):
            raise
        command = [sys.executable, "-m", "mlflow", "db", "upgrade", uri]
        upgrade = subprocess.run(command, check=False, capture_output=True, text=True)
        if UNKNOWN_REVISION in upgrade.stderr:
            if copy is not None:
                copy.unlink()  # nothing was changed
            raise ValueError(
                f"--mlflow-uri {uri}: a newer MLflow than {version('mlflow')} has written this database; "
                "install that version, or name another --mlflow-uri"
            ) from error
        upgrade.check_returncode()
    if copy is not None:
        _logger.warning("MLflow has upgraded %s; the database of the earlier version is kept as %s", database, copy)


def _open_database(uri: str) -> None:
    open_client(uri).search_experiments(max_results=1)


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Convert any error of a failing store to a ValueError with a message of one line.

    All exceptions are converted, because MLflow's client passes on errors of many libraries if the address is not that
    of an MLflow server. A plain ValueError comes from this project and is raised unchanged. An error of a server that
    may work later becomes a TemporaryError.
    """
    try:
        yield
    except Exception as error:
        if type(error) is ValueError:
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        if isinstance(error, OSError) and error.strerror:
            reason = f"{error.strerror}: {error.filename}"
        hint = "; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" if _refused(error) else ""
        if database_path(uri) is None and _is_away(error):
            raise TemporaryError(f"--mlflow-uri {uri}: no MLflow server answers: {reason}") from error
        raise ValueError(f"--mlflow-uri {uri} is not a usable MLflow store: {reason}{hint}; {ALLOWED}") from error


def _refused(error: Exception) -> bool:
    code = getattr(error, "error_code", None)
    return code in ("UNAUTHENTICATED", "PERMISSION_DENIED") or "401" in str(error)[:200]


def _is_away(error: Exception) -> bool:
    """True if the server did not answer, or answered that it cannot do it now."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import ChunkedEncodingError, ConnectionError, RetryError, SSLError, Timeout

    if not isinstance(error, MlflowException):
        return False
    cause = error.__cause__ or error.__context__
    if cause is not None:  # There was no answer, or one of a status that MLflow would repeat the request for.
        no_answer = isinstance(cause, ConnectionError | RetryError | Timeout | ChunkedEncodingError)
        return no_answer and not isinstance(cause, SSLError)
    # MLflow gives an answer that it cannot read the status of an internal error.
    unreadable = "API request to endpoint was successful" in str(error)
    status = error.get_http_status_code()
    return not unreadable and (status >= 500 or status == 429)


@contextmanager
def _short_timeouts() -> Iterator[None]:
    """Fail after `ANSWER_SECONDS` if a server does not answer, because a user waits for this check."""
    settings = {"MLFLOW_HTTP_REQUEST_TIMEOUT": ANSWER_SECONDS, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    before = {name: os.environ[name] for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.update(before)
