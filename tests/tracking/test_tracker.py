from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from core.tracking import SweepTracker
from core.tracking import writer as writer_module

Driver = Callable[..., SweepTracker]


def test_a_finished_trial_as_mlflows_own_client_sees_it(store: str, driver: Driver, sample: type) -> None:
    trial = sample.trial(seed=2, beta=6)
    with driver(store) as tracker:
        tracker.start_trial(trial, 1)
        tracker.log_epochs(trial.key, sample.rows(trial, 4))
        tracker.finish_trial(sample.record(trial))
        tracker.set_progress({"progress/done": 1}, "| cell | done |")
        tracker.set_summary("| cell | rate |")

    (parent,) = sample.runs(store, "sweep")
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == "demo"
    assert parent.data.tags["mlflow.note.content"] == "| cell | rate |"
    assert parent.data.tags["mlflow.source.git.commit"] == "abc"
    assert parent.data.metrics == {"progress/done": 1}

    run = sample.run(store, trial)
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    expected = {"sweep": "demo", "cell": trial.cell.id, "seed": "2", "outcome": "unstable", "overestimation": "true"}
    assert expected.items() <= run.data.tags.items()
    assert {"beta": "6.0", "milestones": "[]", "train_images": "1200", "fosc_patience": "2"}.items() <= (
        run.data.params.items()
    )
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


@pytest.mark.parametrize("path", ["../secret.txt", "/etc/hostname"])
def test_a_forged_journal_gives_no_other_file_away(
    store: str, driver: Driver, sample: type, tmp_path: Path, path: str
) -> None:
    (tmp_path / "secret.txt").write_text("hidden")
    with driver(store) as tracker:
        tracker._append("artifact", path=path)
        tracker._append("metrics", metrics={"after": 1.0})
        assert tracker.close("FINISHED", deadline_s=1) > 0
    (parent,) = sample.runs(store, "sweep")
    assert MlflowClient(store).list_artifacts(parent.info.run_id) == []


def test_artifacts_hold_the_whole_record(store: str, driver: Driver, sample: type, tmp_path: Path) -> None:
    trial = sample.trial()
    record = sample.record(trial)
    report = tmp_path / "report.html"
    report.write_text("first")
    with driver(store) as tracker:
        tracker.finish_trial(record)
        tracker.log_sweep_artifact(report)
        report.write_text("changed later")
    client = MlflowClient(tracking_uri=store)
    folder = Path(client.download_artifacts(sample.run(store, trial).info.run_id, ""))
    assert json.loads((folder / "record.json").read_text()) == record.model_dump(mode="json")
    assert json.loads((folder / "verdict.json").read_text())["outcome"] == "unstable"
    assert yaml.safe_load((folder / "config.yaml").read_text())["cell"]["epochs"] == 6
    rows = list(csv.DictReader((folder / "trace.csv").open()))
    assert [float(row["train/loss"]) for row in rows] == [row["train/loss"] for row in record.trace]
    assert rows[1]["val/fosc"] == ""
    (parent,) = sample.runs(store, "sweep")
    assert Path(client.download_artifacts(parent.info.run_id, "report.html")).read_text() == "first"


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
    first = driver(store, "journal-of-machine-1")
    with first as tracker:
        tracker.start_trial(trial, 1)
        tracker.start_trial(lost, 1)
        tracker.log_epochs(trial.key, sample.rows(trial, 4))
        tracker.interrupt_trial(trial.key)
    assert sample.run(store, trial).info.status == "KILLED"
    assert sample.run(store, lost).info.status == "RUNNING"  # the first driver died without a word about it

    resumed = [{**row, "time/train_s": 99.0} for row in sample.rows(trial, 6, first=3)]
    with driver(store, "journal-of-machine-2") as tracker:
        tracker.reconcile({trial.key})
        tracker.start_trial(trial, 2)
        tracker.log_epochs(trial.key, resumed[:2])
        tracker.log_epochs(trial.key, resumed[2:])
        tracker.finish_trial(sample.record(trial, attempts=2))
        tracker.finish_trial(sample.record(trial, attempts=2))

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
    store: str, driver: Driver, sample: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    trial = sample.trial()
    started = time.monotonic()
    with driver("http://127.0.0.1:9") as tracker:
        tracker.start_trial(trial, 1)
        tracker.log_epochs(trial.key, sample.rows(trial, 6))
        tracker.finish_trial(sample.record(trial))
        tracker.set_summary("text")
        assert time.monotonic() - started < 1, "a dead server must not hold up the driver"
        assert tracker.close("FINISHED", deadline_s=1.0) == 6  # sweep, start, epochs, finish, summary, close
    with driver(store) as tracker:
        assert tracker.close("FINISHED") == 0
    assert sample.run(store, trial).info.status == "FINISHED"
    (parent,) = sample.runs(store, "sweep")
    assert parent.data.tags["mlflow.note.content"] == "text"


def test_an_entry_that_is_always_refused_is_set_aside_and_kept(
    store: str, driver: Driver, sample: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(writer_module, "LONGEST_DELAY", 0.01)
    trial, never_started = sample.trial(seed=0), sample.trial(seed=1)
    with driver(store) as tracker:
        tracker.log_epochs(never_started.key, sample.rows(never_started, 2))
        tracker.start_trial(trial, 1)
        tracker.log_epochs(trial.key, sample.rows(trial, 2))
        assert tracker.close("KILLED") == 1
    assert sample.history(store, sample.run(store, trial), "epoch") == [(1, 1.0), (2, 2.0)]
    with driver(store) as tracker:
        tracker.start_trial(never_started, 1)
        tracker.finish_trial(sample.record(never_started))
        assert tracker.close("FINISHED") == 0
    assert len(sample.history(store, sample.run(store, never_started), "epoch")) == 6


def test_a_run_deleted_by_hand_is_made_again(store: str, driver: Driver, sample: type) -> None:
    trial = sample.trial()
    with driver(store) as tracker:
        tracker.start_trial(trial, 1)
        while tracker.waiting:
            time.sleep(0.01)
        MlflowClient(tracking_uri=store).delete_run(sample.run(store, trial).info.run_id)
        tracker.finish_trial(sample.record(trial))
    assert sample.run(store, trial).info.status == "FINISHED"


@pytest.mark.parametrize("name", ["", "../x", "a b", "a'b", ".hidden", "a/b"])
def test_a_sweep_name_that_could_be_a_path_or_a_query_is_refused(store: str, tmp_path: Path, name: str) -> None:
    from core.config import ProtocolOptions

    with pytest.raises(ValueError, match="--name"):
        SweepTracker(store, name, "unmask", tmp_path / "j", {}.get, protocol=ProtocolOptions(), commit="abc")


WORKLOAD = """
import sys
from pathlib import Path
from core.config import ProtocolOptions, Trial
from core.records import TrialRecord
from core.tracking import SweepTracker
uri, journal, *records = sys.argv[1:]
records = [TrialRecord.model_validate_json(Path(r).read_text()) for r in records]
from core.config import Cell
stored = {r.key: r for r in records}
folder, protocol = Path(journal), ProtocolOptions()
with SweepTracker(uri, "demo", "unmask", folder, stored.get, protocol=protocol, commit="abc") as tracker:
    for r in records:
        trial = Trial(cell=Cell.from_flat(r.cell), seed=r.seed, pins=r.pins, audit=r.audit)
        tracker.start_trial(trial, 1)
    for epoch in range(6):
        for r in records:
            tracker.log_epochs(r.key, [r.trace[epoch]])
    for r in records:
        tracker.finish_trial(r)
    print("called", flush=True)
"""


def workload(tmp_path: Path, sample: type, uri: str, journal: str) -> list[str]:
    files = []
    for seed in range(5):
        outcome = ("stable", "unstable", "censored", "healed", "unstable")[seed]
        files.append(tmp_path / f"record-{seed}.json")
        files[-1].write_text(sample.record(sample.trial(seed), outcome).model_dump_json())
    return [sys.executable, "-c", WORKLOAD, uri, str(tmp_path / journal), *map(str, files)]


@pytest.mark.slow
def test_a_killed_driver_and_a_replay_leave_what_an_undisturbed_one_leaves(
    store: str, empty_store: bytes, driver: Driver, sample: type, tmp_path: Path
) -> None:
    from core.tracking import prepare_store

    subprocess.run(workload(tmp_path, sample, store, "undisturbed"), check=True)
    expected = sample.content(store)
    assert len(expected) == 5
    caught_in_the_middle = 0
    for confirmed in (0, 3, 8, 37, 39):
        folder = tmp_path / f"killed-at-{confirmed}"
        folder.mkdir()
        (folder / "mlflow.db").write_bytes(empty_store)
        uri = prepare_store(f"sqlite:///{folder}/mlflow.db")
        journal = f"journal-{confirmed}"
        process = subprocess.Popen(workload(tmp_path, sample, uri, journal), stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        while process.poll() is None:
            try:
                reached = int((tmp_path / journal / "confirmed").read_text() or 0)
            except FileNotFoundError:
                reached = 0
            if reached >= confirmed:
                process.kill()
                break
        process.wait()
        with driver(uri, journal) as tracker:
            caught_in_the_middle += tracker.waiting > 1
        assert sample.content(uri) == expected
    assert caught_in_the_middle >= 3, "the kills came too late to test anything"
