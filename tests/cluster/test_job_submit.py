"""The sweep as a job submitted to a running cluster that does not have the package installed."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.source.tree import tree_id
from tests.cluster.conftest import LIMIT_S, TINY, Sweep
from tests.plugin_tables import printed_plugin
from tests.servers.shared_ray import SharedRay

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
CHECKOUT = Path(__file__).parents[2]
RAY = Path(sys.executable).with_name("ray")

CONNECT = """
import time
from core.cluster.connect import connect
began = time.monotonic()
try:
    connect({!r})
finally:
    print(time.monotonic() - began)
"""
"""Program that connects to a cluster and prints the seconds that this took, without those of its imports."""


def assert_token_is_asked_for(environment: dict[str, str], address: str, sweep: Sweep) -> None:
    """A driver without the cluster's token ends with one line and without delay. Ray itself retries for 20 s."""
    code = CONNECT.format(address)
    refused = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=sweep.folder, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("ValueError")]
    assert f"--address {address}: the cluster asks for its token: set RAY_AUTH_MODE=token" in line
    assert float(refused.stdout.split()[-1]) < 15


def test_submitted_job_runs_the_code_of_its_working_directory(
    sweep: Sweep, shared_ray: SharedRay, tmp_path_factory: pytest.TempPathFactory
) -> None:
    code = tmp_path_factory.mktemp("code") / "checkout"
    shutil.copytree(
        CHECKOUT, code, ignore=shutil.ignore_patterns(".git", "results", "*.egg-info", "__pycache__", ".*cache")
    )
    provenance = code / "core" / "engine" / "provenance.py"
    provenance.write_text(provenance.read_text().replace('PACKAGES = ("unmask",', 'PACKAGES = ("unmask", "psutil",'))
    (code / "my_method.py").write_text(printed_plugin())
    wrong = sweep.folder / "wrong-token"
    wrong.write_text(secrets.token_hex(32))
    for change in (
        {"RAY_AUTH_TOKEN_PATH": str(wrong)},
        {"RAY_AUTH_TOKEN_PATH": f"{sweep.folder}/none"},
        {"RAY_AUTH_MODE": "disabled"},
    ):
        assert_token_is_asked_for({**sweep.environment, **change}, shared_ray.address, sweep)
    job = [sys.executable, "jobs/sweep_trades.py", *TINY, "--name", "job", "--seeds", "1", "--epochs", "3"]
    job += ["--plugin", "my_method.py", "--method", "trades", "squeezing", "--max-concurrent", "1"]
    stores = ["--storage", f"{sweep.folder}/results", "--mlflow-uri", f"sqlite:///{sweep.folder}/mlflow.db"]
    submit = [str(RAY), "job", "submit", f"--address={shared_ray.dashboard}", f"--working-dir={code}", "--"]
    environment = {name: value for name, value in sweep.environment.items() if name != "RAY_ADDRESS"}
    deadline = time.monotonic() + LIMIT_S
    while True:
        submitted = subprocess.run(
            [*submit, *job, *stores],
            env=environment,
            cwd=sweep.folder,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
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
