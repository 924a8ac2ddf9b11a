"""The sweep as a job submitted to a running cluster that does not have the package installed, with a plug-in's method.

`test_hosts` trains the plug-in's method with two workers.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

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


class Submitted(NamedTuple):
    """A finished job: the folder of its results, the folder of its code, and what it printed."""

    sweep: Sweep
    code: Path
    printed: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in self.sweep.folder.glob("results/job/trials/*/record.json")]

    def run(self, job: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of this checkout where the results are."""
        return subprocess.run(
            [sys.executable, str(CHECKOUT / "jobs" / f"{job}.py"), *words],
            cwd=self.sweep.folder,
            env=self.sweep.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )


@pytest.fixture(scope="module")
def submitted(
    shared_ray: SharedRay, new_sweep: Callable[[str], Sweep], tmp_path_factory: pytest.TempPathFactory
) -> Submitted:
    """A job whose code names another package in its records, and whose working directory has a plug-in."""
    sweep = new_sweep("job")
    sweep.join(shared_ray)
    code = tmp_path_factory.mktemp("code") / "checkout"
    shutil.copytree(
        CHECKOUT, code, ignore=shutil.ignore_patterns(".git", "results", "*.egg-info", "__pycache__", ".*cache")
    )
    provenance = code / "core" / "engine" / "provenance.py"
    provenance.write_text(provenance.read_text().replace('PACKAGES = ("unmask",', 'PACKAGES = ("unmask", "psutil",'))
    (code / "my_method.py").write_text(printed_plugin())
    job = [sys.executable, "jobs/sweep_trades.py", *TINY, "--name", "job", "--seeds", "1", "--epochs", "3"]
    job += ["--plugin", "my_method.py", "--method", "trades", "squeezing", "--max-concurrent", "1"]
    stores = ["--storage", f"{sweep.folder}/results", "--mlflow-uri", f"sqlite:///{sweep.folder}/mlflow.db"]
    submit = [str(RAY), "job", "submit", f"--address={shared_ray.dashboard}", f"--working-dir={code}", "--"]
    environment = {name: value for name, value in sweep.environment.items() if name != "RAY_ADDRESS"}
    deadline = time.monotonic() + LIMIT_S
    while True:
        done = subprocess.run(
            [*submit, *job, *stores],
            env=environment,
            cwd=sweep.folder,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        # `ray start` returns before the dashboard answers, and the dashboard answers before its agent accepts jobs.
        starting = "Failed to connect" in done.stderr or "No available agent" in done.stderr
        if not starting or time.monotonic() > deadline:
            break
        time.sleep(2)
    assert done.returncode == 0, done.stdout + done.stderr
    return Submitted(sweep, code, done.stdout)


def test_submitted_job_runs_the_code_of_its_working_directory(submitted: Submitted) -> None:
    assert "/ trials" in submitted.printed
    core = tree_id(submitted.code / "core")[:12]
    assert sorted(record["cell"]["method"] for record in submitted.records) == ["squeezing", "trades"]
    for record in submitted.records:
        assert record["verdict"]["outcome"] != "censored", record["verdict"]
        made_by = record["provenance"]
        assert "psutil" in made_by
        assert made_by["commit"] == f"core-tree-{made_by['core']}" == f"core-tree-{core}"


def test_a_plugin_travels_with_its_sweep(submitted: Submitted) -> None:
    (record,) = [record for record in submitted.records if record["cell"]["method"] == "squeezing"]
    assert re.fullmatch(r"my_method.py@\w{12}", record["cell"]["plugins"][0])
    assert not (submitted.sweep.folder / "my_method.py").exists()
    evaluated = submitted.run("evaluate", "--sweep", "job", "--mode", "none", "--images", "20")
    assert evaluated.returncode == 0, evaluated.stdout + evaluated.stderr


@pytest.mark.parametrize("change", ["another token", "no token", "no authentication"])
def test_the_token_is_asked_for(sweep: Sweep, shared_ray: SharedRay, change: str) -> None:
    """A driver without the cluster's token ends with one line and without delay. Ray itself retries for 20 s."""
    wrong = sweep.folder / "wrong-token"
    wrong.write_text(secrets.token_hex(32))
    changed = {
        "another token": {"RAY_AUTH_TOKEN_PATH": str(wrong)},
        "no token": {"RAY_AUTH_TOKEN_PATH": f"{sweep.folder}/none"},
        "no authentication": {"RAY_AUTH_MODE": "disabled"},
    }
    refused = subprocess.run(
        [sys.executable, "-c", CONNECT.format(shared_ray.address)],
        env={**sweep.environment, **changed[change]},
        cwd=sweep.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("ValueError")]
    assert f"--address {shared_ray.address}: the cluster asks for its token: set RAY_AUTH_MODE=token" in line
    assert float(refused.stdout.split()[-1]) < 15
