from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from core.sweep.scratch_folder import scratch_folder
from core.tracking import SweepTracker, prepare_store
from core.tracking.views import trials_link

Driver = Callable[..., SweepTracker]


def test_a_finished_trial_as_mlflows_own_client_sees_it(store: str, driver: Driver, sample: type) -> None:
    trial = sample.trial(seed=2, beta=6)
    with driver(store) as tracker:
        tracker.start_trial(trial, 1)
        tracker.log_epochs(trial.key, sample.rows(trial, 4))
        tracker.finish_trial(sample.record(trial))
        tracker.set_progress({"progress/done": 1})
        tracker.set_summary("| cell | done |")
        tracker.set_summary("2 of 3 were unstable.\n\n| cell | rate |")

    (parent,) = sample.runs(store, "sweep")
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == "demo"
    view = trials_link(parent.info.experiment_id, "demo")
    note = parent.data.tags["mlflow.note.content"]
    assert note == f"2 of 3 were unstable. [Stable against unstable trials]({view})\n\n| cell | rate |"
    assert parent.data.params["fosc_patience"] == "2"
    assert parent.data.tags["mlflow.source.git.commit"] == "abc"
    assert parent.data.metrics == {"progress/done": 1}

    run = sample.run(store, trial)
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    expected = {"sweep": "demo", "cell": trial.cell.id, "seed": "2", "outcome": "unstable", "overestimation": "true"}
    assert expected.items() <= run.data.tags.items()
    assert run.info.run_name == "seed=2 init=7"
    assert run.data.params == {"seed": "2", "init_seed": "7"}
    assert run.data.tags["mlflow.note.content"].startswith("**unstable**: overestimation, onset at epoch 4.")
    assert "PGD" not in run.data.tags["mlflow.note.content"]
    assert "pgd-10 50.0 %" in run.data.tags["mlflow.note.content"]
    assert "censor_reason" not in run.data.tags
    assert sample.history(store, run, "train/loss") == [(epoch, 1 / epoch + 2) for epoch in range(1, 7)]
    assert sample.history(store, run, "outcome/unstable") == [(0, 1.0)]
    outcome = {name: value for name, value in run.data.metrics.items() if name.startswith("outcome/")}
    assert outcome == {
        "outcome/unstable": 1,
        "outcome/onset": 1,
        "outcome/overestimation": 1,
        "outcome/catastrophic": 0,
        "outcome/first_unstable_epoch": 4,
        "outcome/clean_acc": 0.9,
        "outcome/pgd-10_acc": 0.5,
        "outcome/pgd-50x5_acc": 0.45,
        "outcome/square_acc": 0.25,
        "outcome/gap": 0.25,
        "outcome/epochs_run": 6,
        "outcome/epochs_saved": 0,
        "outcome/device_seconds": 3.5,
    }


def test_artifacts_hold_the_whole_record(store: str, driver: Driver, sample: type) -> None:
    trial = sample.trial()
    record = sample.record(trial)
    with driver(store) as tracker:
        tracker.finish_trial(record)
        tracker.log_sweep_text("table.md", "first")
        tracker.log_sweep_text("table.md", "newest")
    client = MlflowClient(tracking_uri=store)
    folder = Path(client.download_artifacts(sample.run(store, trial).info.run_id, ""))
    assert json.loads((folder / "record.json").read_text()) == record.model_dump(mode="json")
    assert json.loads((folder / "verdict.json").read_text())["outcome"] == "unstable"
    assert yaml.safe_load((folder / "config.yaml").read_text())["cell"]["epochs"] == 6
    rows = list(csv.DictReader((folder / "trace.csv").open()))
    assert [float(row["train/loss"]) for row in rows] == [row["train/loss"] for row in record.trace]
    assert rows[1]["val/fosc"] == ""
    (parent,) = sample.runs(store, "sweep")
    assert Path(client.download_artifacts(parent.info.run_id, "table.md")).read_text() == "newest"


@pytest.mark.parametrize(
    "outcome, status",
    [("stable", "FINISHED"), ("healed", "FINISHED"), ("unstable", "FINISHED"), ("censored", "FAILED")],
)
def test_status_follows_the_outcome(store: str, driver: Driver, sample: type, outcome: str, status: str) -> None:
    trial = sample.trial()
    with driver(store) as tracker:
        tracker.start_trial(trial, 1)
        tracker.finish_trial(sample.record(trial, outcome))
    run = sample.run(store, trial)
    assert (run.info.status, run.data.tags["outcome"]) == (status, outcome)
    assert run.data.metrics.get("outcome/unstable") == {"censored": None, "unstable": 1.0}.get(outcome, 0.0)


def test_values_that_are_not_finite_are_nan(store: str, driver: Driver, sample: type) -> None:
    trial = sample.trial()
    with driver(store) as tracker:
        tracker.start_trial(trial, 1)
        tracker.log_epochs(trial.key, [{"epoch": 1, "a/none": None, "a/nan": math.nan, "a/inf": -math.inf, "a/one": 1}])
    metrics = sample.run(store, trial).data.metrics
    assert metrics.pop("a/one") == 1
    assert metrics.pop("epoch") == 1
    assert len(metrics) == 3
    assert all(math.isnan(value) for value in metrics.values())


def test_a_long_trace_is_split_at_the_limit_of_a_request(store: str, driver: Driver, sample: type) -> None:
    trial = sample.trial(epochs=300)
    rows = [{"epoch": e, **{f"val/m{i}": float(i * e) for i in range(19)}} for e in range(1, 301)]
    with driver(store) as tracker:
        tracker.finish_trial(sample.record(trial, trace=rows, epochs_run=300, epochs_planned=300))
    run = sample.run(store, trial)
    assert sample.history(store, run, "val/m7") == [(epoch, 7.0 * epoch) for epoch in range(1, 301)]
    assert sample.history(store, run, "epoch") == [(epoch, epoch) for epoch in range(1, 301)]


def test_two_drivers_one_after_the_other_keep_one_run_per_trial(store: str, driver: Driver, sample: type) -> None:
    trial, lost = sample.trial(seed=0), sample.trial(seed=1)
    with driver(store) as tracker:
        tracker.start_trial(trial, 1)
        tracker.start_trial(lost, 1)
        tracker.log_epochs(trial.key, sample.rows(trial, 4))
        tracker.interrupt_trial(trial.key)
    assert sample.run(store, trial).info.status == "KILLED"
    assert sample.run(store, lost).info.status == "RUNNING"  # The first driver died without reporting the trial's end.

    resumed = [{**row, "time/train_s": 99.0} for row in sample.rows(trial, 6, first=3)]
    with driver(store) as tracker:
        tracker.start_trial(trial, 2)
        tracker.log_epochs(trial.key, resumed[:2])
        tracker.log_epochs(trial.key, resumed[2:])
        for _ in range(2):
            tracker.finish_trial(sample.record(trial, attempts=2, trace=[*sample.rows(trial, 2), *resumed]))

    assert len(sample.runs(store, "sweep")) == 1
    assert len(sample.runs(store, "trial")) == 2
    run = sample.run(store, trial)
    assert (run.info.status, run.data.tags["attempts"]) == ("FINISHED", "2")
    assert sample.history(store, run, "time/train_s") == [(e, 0.5 if e <= 4 else 99.0) for e in range(1, 7)]
    assert all(len(sample.history(store, run, name)) == 1 for name in run.data.metrics if name.startswith("outcome/"))
    assert (sample.run(store, lost).info.status, sample.run(store, lost).data.tags["outcome"]) == (
        "KILLED",
        "interrupted",
    )


def test_closing_says_what_is_left_and_the_next_start_writes_it(
    store: str, driver: Driver, sample: type, dead_server: str
) -> None:
    trial, other = sample.trial(0), sample.trial(1)
    record = sample.record(trial)
    started = time.monotonic()
    with driver(dead_server) as tracker:
        for running in (trial, other):
            tracker.start_trial(running, 1)
            tracker.log_epochs(running.key, sample.rows(running, 6))
        tracker.finish_trial(record)
        tracker.set_summary("text")
        assert time.monotonic() - started < 1, "a dead server must not hold up the driver"
        # The 5 entries are two trials, the table, and the start and the end of the sweep's run.
        assert tracker.close("FINISHED", deadline_s=1.0).startswith("MLflow lacks 5 of this sweep's entries (")
    with driver(store, [record]) as tracker:
        assert tracker.close("FINISHED") == ""
    run = sample.run(store, trial)
    assert run.info.status == "FINISHED"
    assert len(sample.history(store, run, "epoch")) == 6
    assert run.info.end_time - run.info.start_time == pytest.approx(3500), "as long as the trial took"


@pytest.mark.slow
def test_an_entry_that_is_always_refused_holds_up_no_other(store: str, driver: Driver, sample: type) -> None:
    trial, never_started = sample.trial(seed=0), sample.trial(seed=1)
    with driver(store) as tracker:
        tracker.log_epochs(never_started.key, sample.rows(never_started, 2))
        tracker.start_trial(trial, 1)
        tracker.log_epochs(trial.key, sample.rows(trial, 2))
        tracker.finish_trial(sample.record(trial))
        deadline = time.monotonic() + 600
        while [run.info.status for run in sample.runs(store, "trial")] != ["FINISHED"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        left = tracker.close("KILLED", deadline_s=3.0)
    assert left == f"MLflow lacks 2 of this sweep's entries (trial {never_started.key} of sweep demo has no run)"
    with driver(store) as tracker:
        tracker.start_trial(never_started, 1)
        tracker.finish_trial(sample.record(never_started))
        assert tracker.close("FINISHED") == ""
    assert len(sample.history(store, sample.run(store, never_started), "epoch")) == 6


def test_of_two_runs_of_one_trial_the_older_one_stays(store: str, driver: Driver, sample: type) -> None:
    """A request that creates a run may succeed although its response is lost."""
    trial = sample.trial()
    with driver(store) as tracker:
        tracker.start_trial(trial, 1)
    client = MlflowClient(tracking_uri=store)
    for run in (sample.run(store, trial), *sample.runs(store, "sweep")):
        client.create_run(run.info.experiment_id, run.info.start_time + 1, run.data.tags, run.info.run_name)
    kept = sample.run(store, trial, of=2)
    record = sample.record(trial)
    with driver(store, [record]) as tracker:
        assert tracker.close("FINISHED") == ""
    assert sample.run(store, trial).info.run_id == kept.info.run_id
    assert sample.run(store, trial).info.status == "FINISHED"
    assert len(sample.runs(store, "sweep")) == 1


def test_a_run_deleted_by_hand_is_made_again(store: str, driver: Driver, sample: type) -> None:
    trial = sample.trial()
    with driver(store) as tracker:
        tracker.start_trial(trial, 1)
        while tracker.waiting:
            time.sleep(0.01)
        MlflowClient(tracking_uri=store).delete_run(sample.run(store, trial).info.run_id)
        tracker.finish_trial(sample.record(trial))
    assert sample.run(store, trial).info.status == "FINISHED"


WORKLOAD = """
import sys
from pathlib import Path
from core.config import Cell, ProtocolOptions, Trial
from core.config.naming import TrialNames
from core.records import TrialRecord
from core.tracking import SweepTracker
from core.tracking.runs import SweepRuns
uri, *files = sys.argv[1:]
records = [TrialRecord.model_validate_json(Path(file).read_text()) for file in files]
stored = {record.key: record for record in records}
tags = {"commit": "abc", "mlflow.source.git.commit": "abc"}
runs = SweepRuns(uri, "demo", tags, ProtocolOptions().model_dump(mode="json"), TrialNames([]))
with SweepTracker(runs, stored.get, training=True) as tracker:
    for r in records:
        trial = Trial(cell=Cell.from_flat(r.cell), seed=r.seed, pins=r.pins, audit=r.audit)
        tracker.start_trial(trial, 1)
    for epoch in range(6):
        for r in records:
            tracker.log_epochs(r.key, [r.trace[epoch]])
            print(epoch, r.key, flush=True)
    for r in records:
        tracker.finish_trial(r)
        print("finished", r.key, flush=True)
"""


KILLED_WHILE_IT_SENDS_FILES = """
import os, signal
from mlflow import MlflowClient
MlflowClient.log_artifacts = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_temporary_files_of_a_killed_driver_are_deleted_by_the_next(
    store: str, sample: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, record = tmp_path / "temporary", tmp_path / "record.json"
    temporary.mkdir()
    record.write_text(sample.record(sample.trial(0)).model_dump_json())
    command = [sys.executable, "-c", KILLED_WHILE_IT_SENDS_FILES + WORKLOAD, store, str(record)]
    killed = subprocess.run(
        command, stdout=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(temporary)}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in temporary.rglob("record.json")] == ["record.json"]
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with scratch_folder():
        pass
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_a_killed_driver_and_its_successor_leave_what_an_undisturbed_one_leaves(
    store: str, empty_store: bytes, driver: Driver, sample: type, tmp_path: Path
) -> None:
    outcomes = ("stable", "unstable", "censored", "healed", "unstable")
    records = [sample.record(sample.trial(seed), outcome) for seed, outcome in enumerate(outcomes)]
    files = [tmp_path / f"record-{record.seed}.json" for record in records]
    for file, record in zip(files, records, strict=True):
        file.write_text(record.model_dump_json())
    command = [sys.executable, "-c", WORKLOAD]
    subprocess.run([*command, store, *files], check=True, stdout=subprocess.DEVNULL)
    expected = sample.content(store)
    assert len(expected) == 5
    caught_in_the_middle = 0
    for runs_written in (1, 4):
        folder = tmp_path / f"killed-at-{runs_written}"
        folder.mkdir()
        (folder / "mlflow.db").write_bytes(empty_store)
        uri = prepare_store(f"sqlite:///{folder}/mlflow.db")
        process = subprocess.Popen([*command, uri, *files], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        while process.poll() is None and len(sample.runs(uri, "trial")) < runs_written:
            time.sleep(0.01)
        process.kill()
        process.wait()
        caught_in_the_middle += sample.content(uri) != expected
        with driver(uri, records) as tracker:
            assert tracker.close("FINISHED") == ""
        assert sample.content(uri) == expected
    assert caught_in_the_middle, "the kills came too late to test anything"
