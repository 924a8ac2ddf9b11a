"""Monitoring of a sweep whose worker hangs: status and metrics show the hang, and the records do not change."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest

from core.storage.process_identity import temporary_prefix
from tests.cluster.conftest import LIMIT_S, Sweep
from tests.cluster.test_sweep import LONE_WORKER
from tests.servers.shared_ray import SharedRay
from tests.without_ray import Record

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
STATUS = Path(__file__).parents[2] / "jobs" / "status.py"
NAME = "hung"
"""Name of the sweep. No other test's sweep on the shared cluster has it, whose metrics are exported, too."""

SECRET = "neither-in-a-log-nor-in-a-file"
WATCHFUL = """
import sys, core.sweep.watchdog
core.sweep.watchdog.START_S = 50
from jobs.sweep_trades import main
sys.exit(main(sys.argv[1:]))
"""
"""A sweep that allows less silence than usual before a trial's first report, which may not have come yet."""


def status(sweep: Sweep, folder: Path) -> str:
    """The output of `jobs/status.py`, started in another folder."""
    command = [sys.executable, str(STATUS), "--sweep", NAME, "--storage", str(sweep.folder / "results")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def metrics(sweep: Sweep) -> dict[str, float]:
    """The project's Prometheus metrics, exported by the sweep's node, by name and outcome."""
    (raylet,) = sweep.processes("raylet/raylet")
    (session,) = (part.partition("=")[2] for part in raylet.cmdline() if part.startswith("--session_dir="))
    (found,) = json.loads((Path(session) / "prom_metrics_service_discovery.json").read_text())
    text = ""
    for target in found["targets"]:
        with contextlib.suppress(OSError):  # One of the exporters starts late.
            text += urllib.request.urlopen(f"http://{target}/metrics").read().decode()
    values: dict[str, float] = {}
    for name, labels, value in re.findall(r"^ray_unmask_(\w+)\{(.*)\} (\S+)$", text, re.MULTILINE):
        if f'sweep="{NAME}"' not in labels:
            continue
        outcome = re.search('outcome="(.*?)"', labels)
        values[f"{name}:{outcome[1]}" if outcome else name] = float(value)
    return values


def test_a_worker_that_hangs_is_seen_ended_and_goes_on(
    sweep: Sweep, shared_ray: SharedRay, undisturbed: dict[str, Record], tmp_path: Path
) -> None:
    sweep.environment |= {"AWS_ACCESS_KEY_ID": "of-the-driver", "AWS_SECRET_ACCESS_KEY": SECRET}
    sweep.program = ("-c", WATCHFUL)
    options = ("--name", NAME, "--seeds", "2", "--epochs", "40")
    driver = sweep.start(*options, "--silence-s", "20", "--price", "3600")
    trials = sweep.folder / "results" / NAME / "trials"
    sweep.wait_for(lambda: any(trials.glob("*/resume.ckpt")))
    hung = sweep.newest(LONE_WORKER)
    hung.send_signal(signal.SIGSTOP)
    sweep.wait_for(lambda: metrics(sweep).get("trials_running", 0) > 0)
    said = status(sweep, tmp_path)
    assert "is running; last report" in said
    assert re.search(r"\d of 2 trials done, [12] running", said)
    (scratch,) = Path(tempfile.gettempdir()).glob(f"{temporary_prefix()}{driver.pid}-*")
    assert not [file for file in scratch.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]
    assert driver.wait(timeout=LIMIT_S) == 0, sweep.text
    assert not hung.is_running()
    assert len(re.findall(r"was silent for (?:\d+ min )?\d+ s: its process is ended", sweep.text)) == 1
    assert sweep.text.count("(attempt 2)") == 1

    records = {key: {**record, "sweep": "tiny"} for key, record in sweep.records(NAME).items()}
    assert records == undisturbed
    said = status(sweep, tmp_path)
    assert f"Sweep {NAME}: finished" in said
    assert "2 of 2 trials done, 0 running, 0 waiting" in said
    seconds = sum(json.loads(path.read_text())["device_seconds"] for path in trials.glob("*/record.json"))
    assert f"cost {seconds:.2f}" in said

    # Ray Tune gives such variables to each trial, and Ray writes them into a log, unless the driver hides them.
    files = [file for file in Path(shared_ray.mark[1]).rglob("*.log") if file.is_file()]
    assert any(file.name.startswith("runtime_env") for file in files)
    assert not [file for file in files if SECRET.encode() in file.read_bytes()]
