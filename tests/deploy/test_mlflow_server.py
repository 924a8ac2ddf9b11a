"""The head's MLflow server, started by its own script on a real PostgreSQL."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.conftest import DEPLOY

pytestmark = [pytest.mark.server, pytest.mark.slow]
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
PASSWORD = "not-a-word-of-any-list"


def as_postgres(*command: str | Path) -> None:
    """PostgreSQL refuses to run as root."""
    prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    subprocess.run([*prefix, *map(str, command)], check=True, capture_output=True, timeout=120, cwd="/")


@pytest.fixture
def database() -> Iterator[Path]:
    """The folder of the socket of a server that knows this user by name and lets nobody else in."""
    if not PROGRAMS:
        pytest.skip("needs Debian's postgresql")
    programs = PROGRAMS[-1].parent
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    folder = Path(f"/tmp/unmask-pg-{os.getpid()}")  # a socket's name must be short
    folder.mkdir()
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    try:
        as_postgres(programs / "initdb", "-A", "peer", "-D", folder / "data")
        options = f"-k {folder} -c listen_addresses= -c fsync=off"
        as_postgres(programs / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", options, "start")
        try:
            if os.geteuid() == 0:
                as_postgres(programs / "createuser", "-h", folder, user)
            for name in ("mlflow", "mlflow_auth"):
                as_postgres(programs / "createdb", "-h", folder, "-O", user, name)
            yield folder
        finally:
            as_postgres(programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def server(database: Path, home: Path, tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("flask_wtf", reason="needs mlflow[auth]")
    for name in ("python", "mlflow"):
        (home / "unmask-env" / "bin" / name).write_text(
            f'#!/bin/bash\nexec {sys.executable} {"-m mlflow" if name == "mlflow" else ""} "$@"\n'
        )
        (home / "unmask-env" / "bin" / name).chmod(0o755)
    (home / ".unmask" / "mlflow_password").write_text(PASSWORD + "\n")
    (home / ".unmask" / "mlflow_secret_key").write_text("b" * 64)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "PGHOST": str(database),
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
    """Status (0: nobody answered) and body."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def test_only_who_has_the_password_and_asks_by_its_name_is_answered(server: str, database: Path) -> None:
    experiments = f"{server}/api/2.0/mlflow/experiments/get?experiment_id=0"
    login = {"Authorization": "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()}
    wrong = {"Authorization": "Basic " + base64.b64encode(b"admin:password1234").decode()}
    status, body = answer(experiments, **login)
    assert status == 200
    assert "mlflow-artifacts:/" in body  # through the server: its clients need no rights on the bucket
    assert answer(experiments)[0] == 401
    assert answer(experiments, **wrong)[0] == 401
    assert answer(experiments, **login, Host="elsewhere.example")[0] == 403
    rows = subprocess.run(
        ["psql", "-h", str(database), "mlflow", "-Atc", "select count(*) from experiments"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert rows.stdout.strip() == "1"
