"""Waiting for the storage and for MLflow before a sweep starts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from rich.console import Console

from core.quantity import duration
from core.redaction import without_secrets
from core.storage import Store
from core.storage.address import is_s3
from core.temporary import TemporaryError
from core.tracking import prepare_store

RETRY_S = 5.0
"""Seconds between two attempts."""
SAY_EVERY_S = 60.0
"""Seconds between two lines on the terminal."""


def await_servers(storage: str, sweep: str, mlflow_uri: str, patience_s: float, console: Console) -> None:
    """Wait until S3 and the MLflow server answer. A local folder and a local database are not checked here.

    Args:
        storage: absolute folder or URI of all sweeps.
        sweep: name of the sweep.
        mlflow_uri: MLflow tracking URI.
        patience_s: longest time to wait for each server, in seconds.
        console: where the waiting is shown.

    Raises:
        TemporaryError: a server did not answer for this time.
        ValueError: an address, a bucket or a key is wrong.
    """
    if is_s3(storage):
        store = Store(storage).child(sweep)
        _await(store.probe, patience_s, console)
    if mlflow_uri.startswith("http"):
        _await(lambda: prepare_store(mlflow_uri), patience_s, console)


def _await(check: Callable[[], object], patience_s: float, console: Console) -> None:
    deadline: float | None = None
    said_at = -math.inf
    while True:
        try:
            check()
            return
        except TemporaryError as error:
            now = time.monotonic()
            deadline = deadline or now + patience_s
            if now >= deadline:
                raise
            if now - said_at >= SAY_EVERY_S:
                said_at = now
                console.print(
                    f"{without_secrets(str(error))}; waiting for up to {duration(deadline - now)} (--wait-for-servers)",
                    highlight=False,
                    soft_wrap=True,
                    markup=False,
                    emoji=False,
                )
            time.sleep(min(RETRY_S, deadline - now))
