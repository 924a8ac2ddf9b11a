"""Blocks are independent of each other, and can be resumed at every attack after any crash."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.checkpoints.checkpoint import load_checkpoint, locate
from core.config import ProtocolOptions
from core.evaluation.options import EvaluationOptions
from core.evaluation.target import Planner
from core.evaluation.task import BlockTask, evaluate_block

from .conftest import TinySweep

Move = Callable[..., BlockTask]
BUDGET = {"restarts": 1, "steps": 4, "queries": 30}


def tasks(sweep: TinySweep, **options: object) -> tuple[BlockTask, ...]:
    budget = BUDGET if options.get("mode", "individual") == "individual" else {}
    planner = Planner(EvaluationOptions.model_validate({"images": 50, "block": 20, **budget, **options}), ".")
    record = sweep.records[0]
    (target,) = planner.trial_targets(record, "seed=0", sweep.ledger.trial_store(record.key), ProtocolOptions())
    return target.tasks


def stored(task: BlockTask) -> dict[str, str]:
    return task.results.read()


def test_order_and_company_do_not_matter(trained: TinySweep, elsewhere: Move) -> None:
    forward = [evaluate_block(elsewhere(task, "a"), "cpu") for task in tasks(trained)]
    backward = [evaluate_block(elsewhere(task, "b"), "cpu") for task in reversed(tasks(trained))]
    assert forward == backward[::-1]
    fewer = [evaluate_block(elsewhere(task, "c"), "cpu") for task in tasks(trained, images=40)]
    assert fewer == forward[:2]
    assert [len(block["fab"]) for block in forward] == [20, 20, 10]


def test_a_stored_attack_is_not_run_again(trained: TinySweep, elsewhere: Move) -> None:
    first = elsewhere(tasks(trained, mode="none")[0])
    evaluate_block(first, "cpu")
    marked = dict.fromkeys(stored(first), "01" * 10)  # No attack gives these results.
    first.results.store.write(first.results.name, json.dumps(marked).encode())
    whole = elsewhere(tasks(trained)[0])
    found = evaluate_block(whole, "cpu")
    assert found["clean"] == found["pgd-10"] == [False, True] * 10
    assert {key: stored(whole)[key] for key in marked} == marked
    assert len(stored(whole)) == 6
    assert whole.results.finished(whole.specs) == found


@pytest.mark.parametrize("change", [{"seed": 1}, {"block": 25}, {"steps": 5}])
def test_results_of_other_settings_are_not_taken(trained: TinySweep, elsewhere: Move, change: dict[str, int]) -> None:
    task = elsewhere(tasks(trained)[0])
    evaluate_block(task, "cpu")
    assert task.results.finished(task.specs) is not None
    other = elsewhere(tasks(trained, **change)[0])
    assert other.results.finished(other.specs) is None


def test_a_cascade_attacks_only_what_is_left(trained: TinySweep, elsewhere: Move) -> None:
    task = elsewhere(tasks(trained, mode="standard")[0])
    specs = [spec for spec in task.specs if spec.name in ("clean", "pgd-10", "standard/apgd-ce", "standard/apgd-t")]
    first = "1" * 5 + "0" * 15
    task.results.store.write(task.results.name, json.dumps({specs[2].key: first}).encode())
    found = evaluate_block(dataclasses.replace(task, specs=tuple(specs)), "cpu")
    assert not any(found["standard/apgd-t"][5:])


def test_transfer_from_itself_is_the_attack_and_from_another_is_weaker(trained: TinySweep, elsewhere: Move) -> None:
    paths = [f"{trained.ledger.trial_store(record.key).root}/selected.pt" for record in trained.records]
    wanted = {"mode": "none", "attacks": ("pgd-20", "transfer-pgd-20"), "images": 200, "block": 200}
    itself, other = (
        evaluate_block(elsewhere(tasks(trained, **wanted, source=path)[0], f"source{i}"), "cpu")
        for i, path in enumerate(paths)
    )
    assert itself["transfer-pgd-20"] == itself["pgd-20"] == other["pgd-20"]
    assert sum(other["transfer-pgd-20"]) > sum(other["pgd-20"])


def test_a_transfer_attack_names_its_source(trained: TinySweep) -> None:
    record = trained.records[0]
    store = trained.ledger.trial_store(record.key)
    sources = [f"{trained.ledger.trial_store(r.key).root}/selected.pt" for r in trained.records]
    names = []
    for path in sources:
        options = EvaluationOptions.model_validate(
            {"mode": "none", "attacks": ("transfer-pgd-10",), "images": 4, "source": path}
        )
        (target,) = Planner(options, ".").trial_targets(record, "seed=0", store, ProtocolOptions())
        blocks = [{spec.name: [True, False, True, True] for spec in target.specs}]
        names.append([m.attack for m in target.collect(blocks, options)])
    checksums = [r.checkpoints["selected.pt"][:8] for r in trained.records]
    assert names == [["clean", "pgd-10", f"transfer-pgd-10 from small-cnn-{checksum}"] for checksum in checksums]


@pytest.mark.slow
def test_kill_9_loses_at_most_the_attack_under_way(trained: TinySweep, elsewhere: Move) -> None:
    wanted = {"queries": 4000, "images": 20}  # Square takes long, so that the kill interrupts it.
    (task,) = (elsewhere(task) for task in tasks(trained, **wanted))
    (again,) = (elsewhere(task, "unbroken") for task in tasks(trained, **wanted))
    script = (
        "import sys, pickle; from core.evaluation.task import evaluate_block;"
        "evaluate_block(pickle.load(sys.stdin.buffer), 'cpu')"
    )
    worker = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, env=os.environ)
    assert worker.stdin is not None
    worker.stdin.write(pickle.dumps(task))
    worker.stdin.close()
    deadline = time.monotonic() + 600
    while len(stored(task)) < 5 and time.monotonic() < deadline and worker.poll() is None:
        time.sleep(0.005)
    worker.send_signal(signal.SIGKILL)
    assert worker.wait() == -signal.SIGKILL
    done = stored(task)
    assert len(done) == 5, "killed during Square"
    assert task.results.finished(task.specs) is None
    resumed = evaluate_block(task, "cpu")
    assert resumed == evaluate_block(again, "cpu")
    assert {key: stored(task)[key] for key in done} == done
    assert not list(Path(task.store).rglob(".*")), "no half-written file is left"


def test_a_file_that_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"nothing")
    for name, message in (("x.pt", "is not a checkpoint"), ("y.pt", "there is no such file")):
        with pytest.raises(ValueError, match=message):
            load_checkpoint(*locate(str(tmp_path / name)))
