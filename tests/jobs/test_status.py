"""The status of a sweep, read only from its store."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import jobs
from core.config import Cell, ProtocolOptions, SeededCell, Sweep
from core.ledger.ledger import Ledger
from core.records import Outcome, SweepProgress, TrialRecord, Verdict
from core.storage import Store
from core.sweep.live_state import LiveState
from core.sweep.trial_plan import fixed_trials
from jobs.status import main

JOB = str(Path(jobs.__file__).with_name("status.py"))
Capture = pytest.CaptureFixture[str]
CELLS = [Cell.from_flat({"beta": beta, "epochs": 4}) for beta in (1, 6)]
SWEEP = Sweep(
    name="mine",
    preset="none",
    entries=tuple(SeededCell(cell=cell, seeds=4) for cell in CELLS),
    protocol=ProtocolOptions(),
)
TRIALS = fixed_trials(SWEEP)


class Stored:
    """Sweep ``mine``: 2 cells x 4 seeds, 4 ended, 3 running, 1 waiting."""

    def __init__(self, folder: Path) -> None:
        self.storage = str(folder / "results")
        self.ledger = Ledger(Store(self.storage).child("mine"), "mine")
        self.ledger.enter(SWEEP)
        live = LiveState(SWEEP, {}, TRIALS, price=3600.0)
        for trial in TRIALS[:7]:
            live.start(trial, trial.key, 1)
        outcomes: tuple[Outcome, ...] = ("unstable", "stable", "unstable", "censored")
        for trial, outcome in zip(TRIALS, outcomes, strict=False):
            live.finish(self.end(trial, outcome))
        for trial in TRIALS[4:7]:
            live.advance(trial.key, [{"epoch": 1, "val/fosc": 0.25, "time/train_s": 10.0}])
        self.say(live.progress())

    def end(self, trial: Any, outcome: Outcome) -> TrialRecord:
        record = TrialRecord(
            sweep="mine",
            **trial.record_fields(),
            protocol=SWEEP.protocol.model_dump(mode="json"),
            verdict=Verdict(
                outcome=outcome, onset=False, censor_reason="timeout: 1 s" if outcome == "censored" else None
            ),
            epochs_run=4,
            device_seconds=20.0,
        )
        self.ledger.write(record)
        return record

    def say(self, progress: SweepProgress, **changes: Any) -> None:
        self.progress = progress.model_copy(update={"written_at": time.time(), **changes})
        self.ledger.write_progress(self.progress)

    def status(self, capsys: Capture, *options: str, code: int = 0) -> str:
        where = [*([] if "--sweep" in options else ["--sweep", "mine"]), *options]
        assert main([*where, *([] if "--storage" in options else ["--storage", self.storage])]) == code
        printed = capsys.readouterr()
        return " ".join((printed.err if code else printed.out).split())


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return Stored(tmp_path)


def test_cells_trials_cost_and_driver(stored: Stored, capsys: Capture) -> None:
    said = stored.status(capsys)
    assert f"the driver on {stored.progress.host} (process {stored.progress.pid}) is running" in said
    assert "4 of 8 trials done, 3 running, 1 waiting" in said
    # Finished trials took 4 x 20 s and running ones 3 x 10 s. Each of the 4 others takes 20 s like its cell's.
    assert "cost 110.00 of about 160.00" in said
    assert f"beta={TRIALS[4].cell.flat()['beta']:g} seed={TRIALS[4].seed}: epoch 1/4 fosc 0.25" in said
    # The columns are done, running, waiting, censored, and unstable / counted.
    assert "1 2 2 – – 2/2 100 [22–100]" in said
    assert "6 1 1 1 1 0/1 0 [0–95]" in said


def test_restarts_and_what_they_lost_are_said(stored: Stored, capsys: Capture) -> None:
    first, *others = stored.progress.running
    again = (first.model_copy(update={"attempt": 3}), *others)
    stored.say(stored.progress, running=again, restarts=2, lost_device_seconds=1800.0)
    said = stored.status(capsys)
    assert ", 0.50 lost by 2 restarts; cost" in said
    assert f"{first.title} (attempt 3): epoch 1/4" in said


def test_records_count_at_once_and_the_price_may_be_another(stored: Stored, capsys: Capture) -> None:
    stored.end(TRIALS[4], "stable")
    said = stored.status(capsys, "--price", "0")
    assert "cost 0.00" in said
    assert "5 of 8 trials done, 2 running, 1 waiting" in said
    assert "1 3 1 – – 2/3" in said


def test_a_driver_that_is_not_heard_of(stored: Stored, capsys: Capture) -> None:
    stored.say(stored.progress, written_at=time.time() - 300)
    said = stored.status(capsys)
    assert "it has died, or it can't reach the storage" in said
    assert "last reported 5 min 0 s ago" in said
    assert "4 of 8 trials done, 0 running, 4 waiting" in said


@pytest.mark.parametrize(("state", "shown"), [("interrupted", "was interrupted"), ("failed", ") failed ")])
def test_a_driver_that_ended_early(stored: Stored, capsys: Capture, state: str, shown: str) -> None:
    stored.say(stored.progress, state=state)
    said = stored.status(capsys, "--watch")  # The command ends at once, because no driver runs.
    assert shown in said
    assert "0 running, 4 waiting" in said


def test_a_driver_that_stopped_its_sweep_says_why(stored: Stored, capsys: Capture) -> None:
    stored.say(stored.progress, state="interrupted", stopped_because="The sweep has stopped because of X.")
    assert re.search(r"ended \d+ s ago\. The sweep has stopped because of X\.", stored.status(capsys))


def test_a_sweep_whose_driver_never_spoke(stored: Stored, capsys: Capture) -> None:
    stored.ledger.store.delete("progress.json")
    said = stored.status(capsys)
    assert "4 trials ended; no driver has reported running" in said
    assert "2/2 100 [22–100]" in said


def test_wrong_input_is_one_line(stored: Stored, capsys: Capture) -> None:
    for options, shown in {
        ("--sweep", "other"): ("--sweep other", "known are mine"),
        ("--sweep", "../mine"): ("--sweep ../mine",),
        ("--price", "-1"): ("--price -1",),
        ("--storage", "s3://"): ("--storage", "s3://"),
    }.items():
        said = stored.status(capsys, *options, code=2)
        assert said.startswith("error:")
        assert all(text in said for text in shown), said
    stored.ledger.store.write("progress.json", b"{")
    assert "progress.json is damaged" in stored.status(capsys, code=2)


def test_a_changed_digit_of_the_progress_is_named(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    content = stored.ledger.store.read("progress.json") or b""
    stored.ledger.store.write("progress.json", content.replace(b'"first_seed":0', b'"first_seed":1'))
    printed = stored.status(capsys, code=2)
    assert "progress.json is damaged (its content does not match its checksum)" in printed


def test_from_anywhere_without_ray_and_mlflow(stored: Stored, tmp_path: Path) -> None:
    code = (
        "import sys\nsys.modules['ray'] = sys.modules['mlflow'] = None\n"
        f"from jobs.status import main\nsys.exit(main(['--sweep', 'mine', '--storage', {stored.storage!r}]))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "4 of 8 trials done" in done.stdout


def test_watching_ends_with_ctrl_c(stored: Stored) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(jobs.__file__).parents[1])}
    command = [sys.executable, JOB, "--sweep", "mine", "--storage", stored.storage, "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert "mine" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=30)
    assert (process.returncode, complaint) == (130, "")
