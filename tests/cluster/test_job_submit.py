"""The sweep as a job submitted to a running cluster that does not have the package installed."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from core.source.tree import tree_id
from tests.cluster.conftest import TINY, Sweep
from tests.plugin_tables import printed_plugin

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
CHECKOUT = Path(__file__).parents[2]
RAY = Path(sys.executable).with_name("ray")


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def assert_token_is_asked_for(environment: dict[str, str], address: str, sweep: Sweep) -> None:
    """A driver without the cluster's token ends with one line and without delay. Ray itself retries for 20 s."""
    code = f"from core.cluster.connect import connect; connect({address!r})"
    started = time.monotonic()
    refused = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=sweep.folder, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("ValueError")]
    assert f"--address {address}: the cluster asks for its token: set RAY_AUTH_MODE=token" in line
    assert time.monotonic() - started < 15


def test_submitted_job_runs_the_code_of_its_working_directory(
    sweep: Sweep, tmp_path_factory: pytest.TempPathFactory
) -> None:
    code = tmp_path_factory.mktemp("code") / "checkout"
    shutil.copytree(
        CHECKOUT, code, ignore=shutil.ignore_patterns(".git", "results", "*.egg-info", "__pycache__", ".*cache")
    )
    provenance = code / "core" / "engine" / "provenance.py"
    provenance.write_text(provenance.read_text().replace('PACKAGES = ("unmask",', 'PACKAGES = ("unmask", "psutil",'))
    (code / "my_method.py").write_text(printed_plugin())
    port, dashboard, agent, client, metrics = free_ports(5)
    temporary = tmp_path_factory.mktemp("r")
    cluster = [
        *(f"--port={port}", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"),
        *(f"--ray-client-server-port={client}", f"--metrics-export-port={metrics}"),
        *(f"--temp-dir={temporary}", "--disable-usage-stats"),
    ]
    token = sweep.folder / "token"
    token.write_text(secrets.token_hex(32))
    environment = {**sweep.environment, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    ray: dict[str, Any] = {"env": environment, "cwd": sweep.folder, "capture_output": True, "text": True}
    started = subprocess.run([str(RAY), "start", "--head", "--num-cpus=2", *cluster], timeout=120, check=False, **ray)
    assert started.returncode == 0, started.stdout + started.stderr
    wrong = sweep.folder / "wrong-token"
    wrong.write_text(secrets.token_hex(32))
    for change in (
        {"RAY_AUTH_TOKEN_PATH": str(wrong)},
        {"RAY_AUTH_TOKEN_PATH": f"{sweep.folder}/none"},
        {"RAY_AUTH_MODE": "disabled"},
    ):
        assert_token_is_asked_for({**environment, **change}, f"127.0.0.1:{port}", sweep)
    job = [sys.executable, "jobs/sweep_trades.py", *TINY, "--name", "job", "--seeds", "1", "--epochs", "3"]
    job += ["--plugin", "my_method.py", "--method", "trades", "squeezing"]
    stores = ["--storage", f"{sweep.folder}/results", "--mlflow-uri", f"sqlite:///{sweep.folder}/mlflow.db"]
    submit = [str(RAY), "job", "submit", f"--address=http://127.0.0.1:{dashboard}", f"--working-dir={code}", "--"]
    deadline = time.monotonic() + 90
    while True:
        submitted = subprocess.run([*submit, *job, *stores], timeout=400, check=False, **ray)
        # `ray start` returns before the dashboard answers, and the dashboard answers before its agent accepts jobs.
        starting = "Failed to connect" in submitted.stderr or "No available agent" in submitted.stderr
        if not starting or time.monotonic() > deadline:
            break
        time.sleep(2)
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    assert "/ trials" in submitted.stdout
    records = [json.loads(path.read_text()) for path in sweep.folder.glob("results/job/trials/*/record.json")]
    assert sorted(record["cell"]["method"] for record in records) == ["squeezing", "trades"]
    for record in records:
        assert record["verdict"]["outcome"] != "censored", record["verdict"]
        made_by = record["provenance"]
        assert "psutil" in made_by
        assert made_by["commit"] == f"core-tree-{made_by['core']}" == f"core-tree-{tree_id(code / 'core')[:12]}"
