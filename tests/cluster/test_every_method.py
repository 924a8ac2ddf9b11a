"""A trial of every training method through Ray, with one and two workers; those with state go on after a kill.

All trials of a sweep share one cluster. Those of one worker also share a process until it is killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.config import METHODS
from tests.cluster.conftest import JOB, Sweep

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
HOUR = 3600
SMALL = {"dataset": "digits", "validation_images": 1337, "batch_size": 32, "epsilon": 0.1}
PROTOCOL = {"eval_steps": 2, "verdict_images": 20, "square_queries": 5, "pgd50_restarts": 1, "stop": False}
OWN = {
    "las-at": {"policy_model": "small-cnn", "policy_interval": 1, "policy_steps_max": 3},
    "sub-at": {"sampling_share": 0.5, "subspace_lr": 0.05},
    "gairat": {"attack_steps": 2},
}
"""Options by method that make its trial small, or reach all of its parts."""
TWO_WORKERS = tuple(os.environ.get("UNMASK_TWO_WORKERS", "las-at seat sub-at").split())
"""Methods that two workers train."""
STATEFUL = [
    {"method": "free"},
    {"method": "las-at"},
    {"method": "sub-at", "weight_averaging": "swa"},
    {"method": "fat", "weight_averaging": "ema", "averaging_decay": 0.9},
    {"method": "gat", "heal": "fosc"},
    {"method": "ssat", "weight_averaging": "swa", "averaging_start": 3},
    {"method": "trades", "rwp_radius": 0.01, "rwp_steps": 2, "weight_averaging": "ema", "averaging_interval": 7},
    {"method": "trades", "precision": "fp16"},
]
"""Cells whose checkpoint holds more than weights and momentum, or whose steps depend on the epoch or the batch."""


def preset(folder: Path, cells: list[dict[str, Any]], **common: Any) -> Path:
    """The file of a preset with one trial of each cell."""
    grids = [{"options": {**SMALL, **common, **OWN.get(cell["method"], {}), **cell}} for cell in cells]
    path = folder / "methods.yaml"
    path.write_text(yaml.safe_dump({"description": "", "seeds": 1, "protocol": PROTOCOL, "grids": grids}))
    return path


def start(sweep: Sweep, path: Path) -> subprocess.Popen[bytes]:
    with sweep.log.open("ab") as log:
        return subprocess.Popen(
            [
                *(sys.executable, str(JOB), "--preset", str(path), "--name", "methods"),
                *("--checkpoint-s", "0", "--max-concurrent", "1", "--max-failures", "100"),
            ],
            cwd=sweep.folder,
            env=sweep.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def attempts(sweep: Sweep) -> dict[str, int]:
    paths = sweep.folder.glob("results/methods/trials/*/record.json")
    return {path.parent.name: json.loads(path.read_text())["attempts"] for path in paths}


@pytest.fixture
def disturbed(tmp_path: Path) -> Iterator[Sweep]:
    """A second sweep, of which each trial is killed once."""
    sweep = Sweep(tmp_path / "disturbed")
    yield sweep
    sweep.kill_all()


@pytest.mark.parametrize(("workers", "methods"), [(1, tuple(METHODS)), (2, TWO_WORKERS)])
def test_every_method_trains_and_is_judged(sweep: Sweep, workers: int, methods: tuple[str, ...]) -> None:
    """A group of two workers starts in 15 s. They train the methods whose ranks exchange more than gradients."""
    path = preset(sweep.folder, [{"method": name} for name in methods], epochs=2, workers=workers)
    assert start(sweep, path).wait(timeout=HOUR) == 0, sweep.text
    records = sweep.records("methods").values()
    assert {record["cell"]["method"] for record in records} == {*methods}
    for record in records:
        assert [row["epoch"] for row in record["trace"]] == [1, 2]
        assert record["verdict"]["outcome"] in ("stable", "unstable", "healed"), record["cell"]["method"]


def test_killed_trials_with_state_go_on_to_the_same_bits(sweep: Sweep, disturbed: Sweep) -> None:
    path = preset(sweep.folder, STATEFUL, epochs=30)
    assert start(sweep, path).wait(timeout=HOUR) == 0, sweep.text
    driver = start(disturbed, path)
    trials = disturbed.folder / "results" / "methods" / "trials"
    killed: set[str] = set()
    deadline = time.monotonic() + HOUR
    while driver.poll() is None:
        assert time.monotonic() < deadline, disturbed.text
        new = {checkpoint.parent.name for checkpoint in trials.glob("*/resume.ckpt")} - killed
        if new:
            for worker in disturbed.processes("ray::ImplicitFunc"):
                worker.kill()
            killed |= new
        time.sleep(0.02)
    assert driver.returncode == 0, disturbed.text
    assert disturbed.records("methods") == sweep.records("methods")
    assert set(attempts(sweep).values()) == {1}
    assert min(attempts(disturbed).values()) >= 2
    assert len(killed) == len(STATEFUL)
    left = [file.name for file in trials.glob("*/*") if file.name.startswith(("resume", "artifact"))]
    assert left == []
