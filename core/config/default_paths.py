"""Default locations of data, results and tracking."""

from __future__ import annotations

import os
import re
from pathlib import Path

from core.config.names import role_arn
from core.redaction import masked
from core.storage.address import ALLOWED, is_s3, parse_s3

ROLE = "UNMASK_WORKER_ROLE"
_OTHER_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/|[^/]*(?::|%3A).*(?:@|%40)", re.IGNORECASE | re.DOTALL)
"""Beginnings of ``s3:/bucket`` and ``user:password@host``, which no path of a folder has unless it begins with ``./``.
"""


def home() -> Path:
    """The current folder; in a Ray job, whose current folder is a temporary copy, ``~/unmask``."""
    return Path.home() / "unmask" if os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR") else Path.cwd()


def storage_root(given: str | None) -> str:
    """The absolute folder or ``s3://`` address of sweeps: ``given``, ``$UNMASK_STORAGE``, or ``results`` in `home`.

    Raises:
        ValueError: the address is of another kind, is incomplete, or contains access keys.
    """
    storage = given or os.environ.get("UNMASK_STORAGE") or str(home() / "results")
    if "://" not in storage:
        return _absolute("--storage", storage)
    try:
        return str(parse_s3(storage))
    except ValueError as error:
        raise ValueError(f"--storage: {error}") from error


def worker_role(given: str | None, storage: str) -> str | None:
    """The ARN of the role of workers: ``given``, ``$UNMASK_WORKER_ROLE``, or None: workers have keys of their own.

    Args:
        given: the value of ``--worker-role``.
        storage: absolute folder or ``s3://`` address of what workers write.

    Raises:
        ValueError: the role is given but the storage is a folder, or the variable has another value than an ARN.
    """
    if not is_s3(storage):
        if given:
            raise ValueError(f"--worker-role {given}: has no effect without an s3:// --storage")
        return None
    if given or not (role := os.environ.get(ROLE)):
        return given
    try:
        return role_arn(role)
    except ValueError as error:
        raise ValueError(f"{ROLE}: {error}") from error


def data_root(given: str) -> str:
    """The absolute folder or ``s3://`` address of the data sets.

    Raises:
        ValueError: the address is of another kind, is incomplete, or contains access keys.
    """
    if "://" not in given:
        return _absolute("--data-dir", given)
    try:
        return str(parse_s3(given))
    except ValueError as error:
        raise ValueError(f"--data-dir: {error}") from error


def tracking_uri(given: str | None) -> str:
    """MLflow's tracking URI: ``given``, else ``$MLFLOW_TRACKING_URI``, else a SQLite file in `home`."""
    return given or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home() / 'mlflow.db'}"


def _absolute(option: str, path: str) -> str:
    if _OTHER_ADDRESS.match(path):
        raise ValueError(f"{option} {masked(path)} is no folder but an incomplete address; {ALLOWED}")
    try:
        absolute = Path(path).resolve()
        absolute.exists()
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{option} {path[:300]}: the name is too long, or a link points back to itself") from error
    return str(absolute)
