"""The head's MLflow server, started by its script on a real PostgreSQL."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.conftest import DEPLOY
from tests.servers.daemon import free_port
from tests.servers.postgres import Postgres

pytestmark = [pytest.mark.server, pytest.mark.slow]
PASSWORD = "not-a-word-of-any-list"


@pytest.fixture
def server(postgres: Postgres, home: Path, tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("flask_wtf", reason="needs mlflow[auth]")
    for name in ("python", "mlflow"):
        (home / "unmask-env" / "bin" / name).write_text(
            f'#!/bin/bash\nexec {sys.executable} {"-m mlflow" if name == "mlflow" else ""} "$@"\n'
        )
        (home / "unmask-env" / "bin" / name).chmod(0o755)
    (home / ".unmask" / "mlflow_password").write_text(PASSWORD + "\n")
    (home / ".unmask" / "mlflow_secret_key").write_text("b" * 64)
    port = free_port("127.0.0.1")
    environment = {
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        **postgres.environment,
        "OMP_NUM_THREADS": "1",
        "UNMASK_BUCKET": "unmask-1",
        "UNMASK_PORT": str(port),
        **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ},
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", str(DEPLOY / "mlflow-server.sh")],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 240
        while answer(f"{url}/health")[0] != 200:
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.5)
        yield url
        assert PASSWORD not in (tmp_path / "log").read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def answer(url: str, **headers: str) -> tuple[int, str]:
    """Status and body of the response. Status 0 means no response."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def test_only_who_has_the_password_and_asks_by_its_name_is_answered(server: str, postgres: Postgres) -> None:
    experiments = f"{server}/api/2.0/mlflow/experiments/get?experiment_id=0"
    login = {"Authorization": "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()}
    wrong = {"Authorization": "Basic " + base64.b64encode(b"admin:password1234").decode()}
    status, body = answer(experiments, **login)
    assert status == 200
    assert (
        "mlflow-artifacts:/" in body
    )  # Artifacts pass through the server, so that clients need no access to the bucket.
    assert answer(experiments)[0] == 401
    assert answer(experiments, **wrong)[0] == 401
    assert answer(experiments, **login, Host="elsewhere.example")[0] == 403
    assert postgres.query("mlflow", "select count(*) from experiments") == "1"
