"""The head's MLflow server, started by its script on a real PostgreSQL."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.server import get_app_client

from tests.deploy.conftest import DEPLOY, make_home
from tests.servers.daemon import MissingProgramError, free_port
from tests.servers.postgres import Postgres

pytestmark = [pytest.mark.server, pytest.mark.slow]
PASSWORD = "not-a-word-of-any-list"
JOB_PASSWORD = "another-word-of-no-list"


class Head(NamedTuple):
    """A running MLflow server of a head, at ``url``, with the home folder of its user and its database.

    The folder is what ``head-services.sh`` makes of it: with copies of the scripts, and without the project.
    """

    url: str
    home: Path
    database: Postgres


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """The server of all tests of this file, whose start takes many seconds of a processor."""
    pytest.importorskip("flask_wtf", reason="needs mlflow[auth]")
    try:
        database = Postgres()
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("head")
    login, home = make_home(folder / "login"), folder / "service"
    (home / ".unmask").mkdir(parents=True)
    (home / "unmask-env").symlink_to(login / "unmask-env")
    for name in ("environment.sh", "mlflow-server.sh", "add-mlflow-user.py"):
        shutil.copy(DEPLOY / name, home)
    for name in ("python", "mlflow"):
        (home / "unmask-env" / "bin" / name).write_text(
            f'#!/bin/bash\nexec {sys.executable} {"-m mlflow" if name == "mlflow" else ""} "$@"\n'
        )
        (home / "unmask-env" / "bin" / name).chmod(0o755)
    (home / ".unmask" / "mlflow_password").write_text(PASSWORD + "\n")
    (home / ".unmask" / "mlflow_secret_key").write_text("b" * 64)
    (home / ".unmask" / "mlflow_job_password").write_text(JOB_PASSWORD + "\n")
    port = free_port("127.0.0.1")
    with database:
        environment = {
            "HOME": str(home),
            "PATH": "/usr/bin:/bin",
            **database.environment,
            "OMP_NUM_THREADS": "1",
            "UNMASK_BUCKET": "unmask-1",
            "UNMASK_PORT": str(port),
            **{name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ},
        }
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["bash", str(home / "mlflow-server.sh")],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        url = f"http://127.0.0.1:{port}"
        try:
            deadline = time.monotonic() + 240
            while answer(f"{url}/health")[0] != 200:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.5)
            yield Head(url, home, database)
            assert not any(word in (folder / "log").read_text() for word in (PASSWORD, JOB_PASSWORD))
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


def test_only_who_has_the_password_and_asks_by_its_name_is_answered(head: Head) -> None:
    experiments = f"{head.url}/api/2.0/mlflow/experiments/get?experiment_id=0"
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
    assert head.database.query("mlflow", "select count(*) from experiments where name = 'Default'") == "1"


def test_jobs_write_one_experiment_and_people_read_it(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    server = head.url
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "job")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", JOB_PASSWORD)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    client = MlflowClient(server)
    deadline = time.monotonic() + 120
    while True:  # the script adds the account when the server answers
        with contextlib.suppress(MlflowException):
            if experiment := client.get_experiment_by_name("unmask"):
                break
        assert time.monotonic() < deadline
        time.sleep(1)
    run = client.create_run(experiment.experiment_id).info.run_id
    client.log_param(run, "beta", "1")
    client.delete_run(client.create_run(experiment.experiment_id).info.run_id)
    with pytest.raises(MlflowException, match="Permission denied"):
        client.create_run("0")
    with pytest.raises(MlflowException, match="Permission denied"):
        get_app_client("basic-auth", server).update_user_password("admin", "new-password-of-admin")

    added = subprocess.run(
        [sys.executable, str(head.home / "add-mlflow-user.py"), "alice"],
        env={**os.environ, "HOME": str(head.home), "MLFLOW_TRACKING_URI": server},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "alice")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", added.stdout.removeprefix("password of alice: ").strip())
    assert MlflowClient(server).get_run(run).data.params == {"beta": "1"}
    with pytest.raises(MlflowException, match="Permission denied"):
        MlflowClient(server).log_param(run, "beta", "2")
