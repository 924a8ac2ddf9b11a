"""A resumed trial has the same results as an uninterrupted one, including the weights."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.config import Cell
from core.engine.filenames import RECORD, RESUME
from core.engine.trial_context import Cadence
from core.models import build_model
from core.records import TrialRecord
from tests.engine import rank
from tests.engine.start_rank import start_rank

Runner = Callable[..., TrialRecord]
Reduce = Callable[[TrialRecord], dict[str, Any]]

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "everything": {
        "augment": "crop-flip",
        "heal": "fosc",
        "heal_batches": 6,
        "awp_radius": 0.01,
        "awp_warmup": 1,
        "schedule": "step",
        "milestones": [2],
    },
    "fp16": {"precision": "fp16"},
    "bf16": {"precision": "bf16"},
    "pgd-at": {"method": "pgd-at"},
    "idbh": {"augment": "idbh-svhn", "image_size": 12, "train_epsilon": 0.2},
    "ema and rwp": {"weight_averaging": "ema", "averaging_interval": 3, "rwp_radius": 0.01, "heal": "fosc"},
    "swa": {"weight_averaging": "swa", "averaging_start": 3, "heal": "fosc"},
}
ALARMED = {"fosc_threshold": 0.05, "fosc_grace": 1, "confirm_every": 2, "stop": False, "gradient_stride": 3}


def dying(epoch: int) -> Callable[[int, list[Any], bool], None]:
    def report(now: int, rows: list[Any], decided: bool) -> None:
        if now == epoch:
            raise RuntimeError(f"died in epoch {epoch}")

    return report


SEEN_QUICKLY = ("plain", "everything")


@pytest.mark.parametrize(
    "kind", [kind if kind in SEEN_QUICKLY else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_exceptions_at_several_epochs_leave_no_trace(
    make_cell: Callable[..., Cell], run: Runner, comparable: Reduce, kind: str
) -> None:
    cell = make_cell(epochs=6, **KINDS[kind])
    whole = run(cell, folder="whole", protocol=ALARMED)
    for epoch in (1, 2, 3, 5):  # Epoch 3 is between the first masked epoch and the alarm.
        with pytest.raises(RuntimeError, match="died"):
            run(cell, folder="broken", protocol=ALARMED, report=dying(epoch))
    broken = run(cell, folder="broken", protocol=ALARMED)
    assert comparable(broken) == comparable(whole)
    assert (whole.attempts, broken.attempts) == (1, 5)
    assert [row["epoch"] for row in broken.trace] == [1, 2, 3, 4, 5, 6]


def test_seldom_checkpoints_cost_epochs_but_not_the_result(
    make_cell: Callable[..., Cell], run: Runner, comparable: Reduce, tmp_path: Path
) -> None:
    cell = make_cell()
    whole = run(cell, folder="whole")
    never = Cadence(report_s=1000, checkpoint_s=1000)
    reports: list[tuple[int, list[Any], bool]] = []
    once = run(cell, folder="once", cadence=never, report=lambda *args: reports.append(args))
    assert comparable(once) == comparable(whole)
    assert [(epoch, [row["epoch"] for row in rows]) for epoch, rows, _ in reports] == [(3, [1, 2, 3])]


def test_a_finished_trial_is_not_trained_again(make_cell: Callable[..., Cell], run: Runner, tmp_path: Path) -> None:
    first = run(make_cell())
    assert sorted(path.name for path in (tmp_path / "trial").iterdir()) == sorted([*first.checkpoints, RECORD])
    assert run(make_cell(), report=dying(1)) == first


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:50] + bytes([b[50] ^ 1]) + b[51:]])
def test_a_damaged_checkpoint_means_starting_anew(
    make_cell: Callable[..., Cell],
    run: Runner,
    comparable: Reduce,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[bytes], bytes],
) -> None:
    whole = run(make_cell(), folder="whole")
    with pytest.raises(RuntimeError):
        run(make_cell(), report=dying(3))
    file = tmp_path / "trial" / RESUME
    file.write_bytes(damage(file.read_bytes()))
    again = run(make_cell())
    assert comparable(again) == comparable(whole)
    assert again.attempts == 2
    assert "starts again" in capsys.readouterr().out


def test_stored_weights_are_the_named_epochs_and_need_no_pickle(
    make_cell: Callable[..., Cell], run: Runner, tmp_path: Path
) -> None:
    cell = make_cell()
    record = run(cell)
    assert set(record.checkpoints) == {"selected.pt", "gated.pt", "last.pt"}
    accuracy = [row["val/pgd10_acc"] for row in record.trace]
    epochs = {"selected.pt": accuracy.index(max(accuracy)) + 1, "last.pt": 3}  # type: ignore[type-var]
    for name, digest in record.checkpoints.items():
        content = (tmp_path / "trial" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        stored = torch.load(tmp_path / "trial" / name, weights_only=True)
        assert (stored["cell"], stored["seed"]) == (cell.flat(), 1)
        assert stored["epoch"] == epochs.get(name, stored["epoch"])
        build_model(cell.model, cell.data.shape, 0).load_state_dict(stored["model"])
    earlier = run(make_cell(epochs=epochs["selected.pt"]), folder="earlier")
    files = (tmp_path / "trial" / "selected.pt", tmp_path / "earlier" / "last.pt")
    selected, last = (torch.load(file, weights_only=True)["model"] for file in files)
    assert earlier.epochs_run == epochs["selected.pt"]
    assert all(torch.equal(selected[name], last[name]) for name in selected)


@pytest.mark.slow
def test_kill_9_in_mid_training_leaves_no_trace(make_cell: Callable[..., Cell], tmp_path: Path) -> None:
    cell = make_cell(epochs=20, augment="crop-flip").flat()

    def files(folder: str) -> tuple[Path, Path]:
        jobs, out = tmp_path / f"{folder}.jobs", tmp_path / f"{folder}.json"
        protocol = {"verdict_images": 20, "square_queries": 5}
        jobs.write_text(json.dumps([{"cell": cell, "folder": folder, "protocol": protocol}]))
        return jobs, out

    def start(folder: str) -> subprocess.Popen[bytes]:
        return start_rank("0", "1", "-", *files(folder))

    def result(folder: str) -> dict[str, Any]:
        (record,) = json.loads((tmp_path / f"{folder}.json").read_text())
        return record

    for _ in range(2):
        killed = start("killed")
        resume = tmp_path / "killed" / RESUME
        before = resume.stat().st_mtime_ns if resume.exists() else 0
        deadline = time.monotonic() + 600
        while not (resume.exists() and resume.stat().st_mtime_ns > before):
            assert killed.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        killed.kill()
        assert killed.wait() == -9
    assert start("killed").wait(900) == 0
    rank.main(0, 1, "-", *files("whole"))  # a trial that nobody kills needs no process of its own
    broken, whole = result("killed"), result("whole")
    assert broken["attempts"] == 3
    assert broken["checkpoints"] == whole["checkpoints"]
    assert broken["verdict"] == whole["verdict"]
    traces = [[{k: v for k, v in row.items() if "time/" not in k} for row in r["trace"]] for r in (broken, whole)]
    assert traces[0] == traces[1]
