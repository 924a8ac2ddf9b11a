"""A trial of every training method through Ray, with one and two workers; those with state go on after a kill.

All trials of a sweep share one cluster. Those of one worker also share a process until it is killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.config import METHODS
from tests.cluster.conftest import JOB, LIMIT_S, Sweep
from tests.servers.shared_ray import SharedRay

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
Options = dict[str, Any]
SMALL = {"dataset": "digits", "validation_images": 1337, "batch_size": 32, "epsilon": 0.1}
PROTOCOL = {"eval_steps": 2, "verdict_images": 20, "square_queries": 5, "pgd50_restarts": 1, "stop": False}
OWN: dict[str, Options] = {
    "las-at": {"policy_model": "small-cnn", "policy_interval": 1, "policy_steps_max": 3},
    "sub-at": {"sampling_share": 0.5, "subspace_lr": 0.05},
    "gairat": {"attack_steps": 2},
}
"""Options by method that make its trial small, or reach all of its parts."""
TWO_WORKERS = tuple(os.environ.get("UNMASK_TWO_WORKERS", "las-at").split())
"""Methods that two workers train. Without the variable, the one whose ranks exchange the most.

`tests/methods/test_contract.py` compares two ranks with one for every method without Ray, whose groups are the same for
all methods and take half a minute of a processor each.
"""
SHORT, LONG = {"epochs": 2}, {"epochs": 12}
STATEFUL: list[Options] = [{"method": "sub-at", "weight_averaging": "swa"}]
"""A cell whose checkpoint holds more than weights and momentum, and whose method has artifacts.

`tests/methods/test_contract.py` and `tests/engine/test_resume.py` resume every method and option without Ray.
"""


def preset(folder: Path, cells: Sequence[Options]) -> Path:
    """The file of a preset with one trial of each cell."""
    grids = [{"options": {**SMALL, **OWN.get(cell["method"], {}), **cell}} for cell in cells]
    path = folder / "methods.yaml"
    path.write_text(yaml.safe_dump({"description": "", "seeds": 1, "protocol": PROTOCOL, "grids": grids}))
    return path


def start(sweep: Sweep, cells: Sequence[Options], name: str = "methods") -> subprocess.Popen[bytes]:
    with sweep.log.open("ab") as log:
        return subprocess.Popen(
            [
                *(sys.executable, str(JOB), "--preset", str(preset(sweep.folder, cells)), "--name", name),
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


@pytest.fixture(scope="module")
def trained(shared_ray: SharedRay, new_sweep: Callable[[str], Sweep]) -> Sweep:
    """A sweep without faults: two epochs of every method, and all epochs of the cells with state."""
    sweep = new_sweep("trained")
    sweep.join(shared_ray)
    cells = [{"method": name, **SHORT} for name in METHODS] + [{**cell, **LONG} for cell in STATEFUL]
    assert start(sweep, cells).wait(timeout=LIMIT_S) == 0, sweep.text
    return sweep


def assert_trained_and_judged(records: Sequence[Options], methods: Sequence[str]) -> None:
    assert sorted(record["cell"]["method"] for record in records) == sorted(methods)
    for record in records:
        assert [row["epoch"] for row in record["trace"]] == [1, 2]
        assert record["verdict"]["outcome"] in ("stable", "unstable", "healed"), record["cell"]["method"]


def test_every_method_trains_and_is_judged(trained: Sweep) -> None:
    records = trained.records("methods").values()
    assert_trained_and_judged([r for r in records if r["cell"]["epochs"] == SHORT["epochs"]], list(METHODS))


def test_two_workers_train_methods_whose_ranks_exchange_more_than_gradients(trained: Sweep) -> None:
    """They start from the weights that one worker trained."""
    earlier = {record["cell"]["method"]: key for key, record in trained.records("methods").items()}
    cells = [{"method": name, "workers": 2, "start_from": f"methods/{earlier[name]}", **SHORT} for name in TWO_WORKERS]
    assert start(trained, cells, "groups").wait(timeout=LIMIT_S) == 0, trained.text
    records = trained.records("groups").values()
    assert_trained_and_judged(list(records), TWO_WORKERS)
    assert {record["cell"]["start_from"] for record in records} == {cell["start_from"] for cell in cells}


def test_killed_trials_with_state_go_on_to_the_same_bits(trained: Sweep, sweep: Sweep) -> None:
    driver = start(sweep, [{**cell, **LONG} for cell in STATEFUL])
    trials = sweep.folder / "results" / "methods" / "trials"
    killed: set[str] = set()
    deadline = time.monotonic() + LIMIT_S
    while driver.poll() is None:
        assert time.monotonic() < deadline, sweep.text
        new = {checkpoint.parent.name for checkpoint in trials.glob("*/resume.ckpt")} - killed
        if new:
            for worker in sweep.processes("ray::ImplicitFunc"):
                worker.kill()
            killed |= new
        time.sleep(0.02)
    assert driver.returncode == 0, sweep.text
    records, expected = sweep.records("methods"), trained.records("methods")
    assert len(records) == len(STATEFUL)
    assert records == {key: expected[key] for key in records}
    assert {attempts(trained)[key] for key in records} == {1}
    assert min(attempts(sweep).values()) >= 2
    assert killed == records.keys()
    left = [file.name for file in trials.glob("*/*") if file.name.startswith(("resume", "artifact"))]
    assert left == []
