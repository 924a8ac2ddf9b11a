"""The real commands as processes, which must behave like the functions that other tests call."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import jobs
from tests.bad_input.harness import snapshot

JOBS = Path(jobs.__file__).parent
LINES = {
    "sweep_trades": ([b"--beta", b"1", b"\xff"], "--beta"),
    "report": ([b"--sweep", b"../\xc3\x28"], "--sweep"),
    "sync_mlflow": ([b"--sweep", b"../\xc3\x28"], "--sweep"),
    "check": ([b"--weights", b"none.pt", b"--dataset", b"digits", b"--epsilon", b"0.1"], "none.pt"),
    "evaluate": ([b"--checkpoint", b"none.pt"], "none.pt"),
    "benchmark": ([b"--repeats", b"0"], "--repeats"),
}


SLOW = ("check", "evaluate")  # they import torch


@pytest.mark.parametrize("job", [pytest.param(job, marks=[pytest.mark.slow] * (job in SLOW)) for job in LINES])
def test_one_message_and_exit_code_2(job: str, tmp_path: Path) -> None:
    args, named = LINES[job]
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONPATH": str(JOBS.parent)}
    ended = subprocess.run(
        [sys.executable, JOBS / f"{job}.py", *args], cwd=tmp_path, env=ascii_only, capture_output=True, check=False
    )
    message = ended.stderr.decode(errors="replace")
    assert ended.returncode == 2, message
    assert named in message
    assert "Traceback" not in message
    assert snapshot(tmp_path) == {}
