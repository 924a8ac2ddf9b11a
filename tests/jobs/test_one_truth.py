"""All commands show the same numbers of a sweep, because all of them read its storage.

Unstable trials are stopped early and are known before the stable ones that started with them: a rate of a fixed number
of seeds that counts them at once is biased towards unstable.
"""

from __future__ import annotations

import csv
import io
import re
import time
from pathlib import Path
from typing import Any

import pytest

from core.command.request import read_request
from core.config import ProtocolOptions, SeededCell, Sweep
from core.ledger.ledger import Ledger
from core.ledger.snapshot import SweepReader, read_snapshot
from core.records import Outcome
from core.storage import Store
from core.sweep.live_state import LiveState
from core.sweep.trial_plan import fixed_trials
from core.verdict import censor
from jobs import report, status, sweep_trades
from tests.analysis_report.conftest import synthetic_trial
from tests.bad_input.harness import Ended, run

pytestmark = pytest.mark.usefixtures("blank_pictures")
PRESETS = Path(sweep_trades.__file__).parent / "presets"
OPTIONS = ["--beta", "1", "--epochs", "12"]
CELL = read_request(OPTIONS, PRESETS, "").sweep.entries[0].cell
SWEEP = Sweep(
    name="mine", preset="none", entries=(SeededCell(cell=CELL, seeds=6),), protocol=ProtocolOptions(stop=True)
)
TRIALS = fixed_trials(SWEEP)


class Stored:
    """Sweep ``mine`` of 6 seeds: 1 and 3 are unstable and were stopped, 0 and 2 are running, 4 and 5 are waiting."""

    def __init__(self, folder: Path) -> None:
        self.storage = str(folder / "results")
        self.ledger = Ledger(Store(self.storage).child("mine"), "mine")
        self.ledger.enter(SWEEP)
        self.live = LiveState(SWEEP, {}, TRIALS)
        for trial in TRIALS[:4]:
            self.live.start(trial, trial.key, 1)
        for seed in (1, 3):
            self.end(seed, "unstable")
        for seed in (0, 2):
            self.live.advance(TRIALS[seed].key, [{"epoch": 5, "val/fosc": 0.25, "time/train_s": 10.0}])
        self.say()

    def end(self, seed: int, outcome: Outcome) -> None:
        record = synthetic_trial(CELL, seed, sweep="mine", epochs=12)
        assert record.verdict is not None
        verdict = record.verdict.model_copy(update={"outcome": outcome, "onset": outcome == "unstable"})
        record = record.model_copy(update={"verdict": verdict, "stopped_early": outcome == "unstable"})
        self.ledger.write(record)
        self.live.finish(record)

    def say(self, **changes: Any) -> None:
        self.ledger.write_progress(self.live.progress().model_copy(update={"written_at": time.time(), **changes}))

    def report(self, *options: str) -> Ended:
        """The report of a sweep that was never logged to MLflow."""
        return run(report.main, ["--sweep", "mine", "--storage", self.storage, *options])

    def counts(self) -> set[tuple[int, int]]:
        """Numbers of unstable and counted trials in the output of each command that prints them."""
        told = run(status.main, ["--sweep", "mine", "--storage", self.storage])
        (shown,) = re.findall(r"(\d+)/(\d+)\s+[–\d]", " ".join(told.out.split("unstable")[-1].split("\n", 2)[2:]))
        (row,) = csv.DictReader(io.StringIO(self.report("--format", "csv").out))
        return {(int(shown[0]), int(shown[1])), (int(row["unstable"]), int(row["trials"]))}


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Stored(tmp_path)


def test_stopped_trials_do_not_count_before_earlier_seeds(stored: Stored) -> None:
    assert stored.counts() == {(0, 0)}
    told = stored.report()
    assert told.code == 0
    assert "No trial counts yet: 2 running, 0 censored." in told.out
    assert "2 finished trials count once those with earlier seeds have ended." in told.out
    stored.end(0, "stable")
    assert stored.counts() == {(1, 2)}, "seeds 0 and 1; what ended since the driver last wrote counts at once"


@pytest.mark.parametrize(
    "changes",
    [
        {"written_at": 0.0},
        pytest.param({"state": "interrupted"}, marks=pytest.mark.slow),
        pytest.param({"state": "failed"}, marks=pytest.mark.slow),
    ],
)
def test_nor_do_they_when_the_driver_is_gone(stored: Stored, changes: dict[str, Any]) -> None:
    stored.say(**changes)
    assert stored.counts() == {(0, 0)}
    assert "No trial counts yet: 0 running, 0 censored." in stored.report().out


def test_a_trial_that_waits_holds_back_later_ones(stored: Stored) -> None:
    for seed in (0, 2):
        stored.end(seed, "stable")
    stored.say()
    # Between two reports of the driver, seeds 4 and 5 start, and seed 5 ends.
    stored.end(5, "unstable")
    assert stored.counts() == {(2, 4)}
    stored.end(4, "stable")
    assert stored.counts() == {(3, 6)}


def test_the_page_lists_running_trials_and_no_waiting_one(stored: Stored) -> None:
    assert stored.report().code == 0
    page = Path("mine-report.html").read_text()
    rows = re.findall(r'<tr data-outcome="(\w+)">.*<td>([\w-]+)</td></tr>', page)
    assert rows == [
        ("running", TRIALS[0].key),
        ("unstable", TRIALS[1].key),
        ("running", TRIALS[2].key),
        ("unstable", TRIALS[3].key),
    ]
    assert "5/12" in page


def test_a_plan_takes_from_its_pilot_what_counts(stored: Stored) -> None:
    args = [*OPTIONS, "--name", "next", "--until-width", "0.4", "--plan", "--pilot", "mine"]
    args += ["--storage", stored.storage]
    refused = run(sweep_trades.main, args)
    assert refused.code == 2
    assert "the pilot sweep has no finished trial" in refused.message
    stored.end(0, "stable")
    planned = run(sweep_trades.main, args)
    assert planned.code == 0, planned
    assert "1/2 in mine" in " ".join(planned.out.split())


def test_pinned_trials_keep_their_pins(tmp_path: Path) -> None:
    sweep = SWEEP.model_copy(update={"pin_groups": ({"init": 7}, {"init": 8})})
    trials = fixed_trials(sweep)
    ledger = Ledger(Store(str(tmp_path)).child("mine"), "mine")
    ledger.enter(sweep)
    live = LiveState(sweep, {}, trials)
    for trial in trials[:2]:
        live.start(trial, trial.key, 1)
    ledger.write_progress(live.progress())
    found = read_snapshot(str(tmp_path), "mine").trials
    assert [trial.key for trial in found if trial.attempts] == [trial.key for trial in trials[:2]]


def test_a_crash_is_counted_alike_whichever_version_stored_it(stored: Stored) -> None:
    """Earlier versions stored a crash as ``record.json``."""
    stored.end(0, "stable")
    record = stored.ledger.record(TRIALS[0].key)
    assert record is not None
    crash = record.model_copy(update={"verdict": censor("crashed: x"), "checkpoints": {}})
    folder = stored.ledger.trial_store(record.key)
    told = []
    for name, other in (("record.json", "crash.json"), ("crash.json", "record.json")):
        folder.write(name, crash.to_json())
        folder.delete(other)
        table = stored.report("--format", "csv").out
        (row,) = csv.DictReader(io.StringIO(table))
        told.append((stored.counts(), row["censored"], table))
    assert told[0] == told[1]
    assert told[0][:2] == ({(1, 1)}, "1")
    folder.write("record.json", record.to_json())
    assert stored.counts() == {(1, 2)}, "the crash beside the result means nothing"


def test_a_reader_reads_a_record_once_and_a_crashed_one_again(stored: Stored) -> None:
    reader = SweepReader(stored.ledger, traces=False)
    first = {record.key: record for record in reader.read().finished}
    assert all(record.trace == [] for record in first.values())
    crashed = first[TRIALS[1].key].verdict.model_copy(update={"outcome": "censored", "censor_reason": "crashed: x"})
    whole = stored.ledger.record(TRIALS[1].key)
    file = stored.ledger.trial_store(whole.key)
    file.write("record.json", whole.model_copy(update={"verdict": crashed}).to_json())
    assert {r.key: r for r in reader.read().finished} == first, "known records are not read again"
    again = SweepReader(stored.ledger)
    again.read()
    file.write("record.json", whole.to_json())
    assert {r.key: r for r in again.read().finished}[TRIALS[1].key] == whole
