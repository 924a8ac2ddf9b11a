"""The addresses at which a driver looks for its cluster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import core
from core.cluster.connect import connect
from core.temporary import TemporaryError


def test_an_address_for_jobs_is_no_cluster_to_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    with pytest.raises(ValueError, match=r"RAY_ADDRESS http://127.0.0.1:8265: must be HOST:PORT"):
        connect(None)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "no-such-host.invalid:6379", "127.0.0.1:99999"])
@pytest.mark.timeout(30)  # Ray itself retries for 40 s.
def test_nobody_listens(address: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"--address {address}: no Ray cluster answers there")):
        connect(address)


@pytest.mark.parametrize(
    ("address", "joined", "confined"),
    [
        (None, "", True),
        ("head:6379", "", False),
        pytest.param("local", "", True, marks=pytest.mark.slow),
        pytest.param("auto", "", False, marks=pytest.mark.slow),
        pytest.param(None, "head:6379", False, marks=pytest.mark.slow),
    ],
)
def test_only_a_cluster_that_the_driver_starts_is_confined_to_its_machine(
    address: str | None, joined: str, confined: bool
) -> None:
    code = (
        "import os, sys\n"
        "from core.cluster.chosen import ONE_MACHINE, keep_on_loopback\n"
        "assert 'ray' not in sys.modules\n"
        f"keep_on_loopback({address!r})\n"
        "print(os.environ.get(ONE_MACHINE))\n"
        "import ray\n"
        "os.environ.pop(ONE_MACHINE, None)\n"
        f"keep_on_loopback({address!r})\n"
        "print(os.environ.get(ONE_MACHINE))\n"
    )
    environment = {**os.environ, "RAY_ADDRESS": joined, "PYTHONPATH": str(Path(core.__file__).parents[1])}
    environment.pop("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0" if confined else "None", "None"]


@pytest.mark.parametrize("failures", [1, 3])
def test_a_cluster_that_is_slow_to_start_is_started_again(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    """Ray's own error, which a machine under load gives after 30 s."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    starts = []

    def init(**options: object) -> None:
        starts.append(options["address"])
        if len(starts) <= failures:
            raise Exception("The current node timed out during startup. This could happen because ...")

    monkeypatch.setattr("core.cluster.connect.ray.init", init)
    monkeypatch.setattr("core.cluster.connect._await_state_api", lambda: None)
    if failures < 3:
        assert connect(None)
    else:
        with pytest.raises(TemporaryError, match="3 attempts of 30 s"):
            connect(None)
    assert starts == ["local"] * min(failures + 1, 3)
