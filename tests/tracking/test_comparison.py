"""At the end of a sweep MLflow is compared with the storage, and runs that differ are written again."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from mlflow import MlflowClient

from core.tracking import SweepTracker, TrackedSweep
from core.tracking.runs import SweepRuns

Driver = Callable[..., SweepTracker]


@pytest.fixture
def written(store: str, driver: Driver, sample: type) -> list[Any]:
    """Records of three trials that MLflow has."""
    records = [sample.record(sample.trial(seed)) for seed in range(3)]
    with driver(store) as tracker:
        for record in records:
            tracker.finish_trial(record)
        assert tracker.close("FINISHED", records) == ""
    return records


def change_database(store: str, statement: str, *values: object) -> None:
    with sqlite3.connect(store.removeprefix("sqlite:///")) as database:
        assert database.execute(statement, values).rowcount > 0


def delete(store: str, run: str) -> None:
    MlflowClient(store).delete_run(run)


def add_metric(store: str, run: str) -> None:
    MlflowClient(store).log_metric(run, "outcome/gap", 0.75, int(time.time() * 1000) + 10_000, 0)


def add_epoch(store: str, run: str) -> None:
    MlflowClient(store).log_metric(run, "epoch", 9, step=9)


def change_tag(store: str, run: str) -> None:
    MlflowClient(store).set_tag(run, "outcome", "stable")


def end_as_failed(store: str, run: str) -> None:
    MlflowClient(store).set_terminated(run, "FAILED")


def lose_params(store: str, run: str) -> None:
    change_database(store, "delete from params where run_uuid = ?", run)


def change_params(store: str, run: str) -> None:
    change_database(store, "update params set value = '99' where run_uuid = ? and key = 'seed'", run)


def lose_a_metric(store: str, run: str) -> None:
    change_database(store, "delete from latest_metrics where run_uuid = ? and key = 'val/fosc'", run)


def lose_an_epoch(store: str, run: str) -> None:
    change_database(store, "delete from metrics where run_uuid = ? and step = 1", run)


def artifacts(store: str, run: str) -> Path:
    return Path(MlflowClient(store).get_run(run).info.artifact_uri.removeprefix("file://"))


def lose_files(store: str, run: str) -> None:
    (artifacts(store, run) / "record.json").unlink()
    (artifacts(store, run) / "verdict.json").unlink()


def empty_a_file(store: str, run: str) -> None:
    (artifacts(store, run) / "trace.csv").write_text("")


QUICK = [delete, add_epoch, change_params, lose_an_epoch, lose_files]
SLOW = [add_metric, change_tag, end_as_failed, lose_params, lose_a_metric, empty_a_file]


@pytest.mark.parametrize(
    "change", [*QUICK, *(pytest.param(change, marks=pytest.mark.slow) for change in SLOW)], ids=lambda c: c.__name__
)
def test_a_run_that_was_changed_is_written_again(
    store: str, driver: Driver, sample: type, written: list[Any], change: Callable[[str, str], None]
) -> None:
    trial = sample.trial(1)
    before = sample.content(store)
    with driver(store, written) as tracker:
        while tracker.waiting:
            time.sleep(0.01)
        change(store, sample.run(store, trial).info.run_id)
        assert tracker.close("FINISHED", written) == ""
    assert sample.content(store) == before


def test_the_epochs_of_a_crashed_trial_stay(store: str, driver: Driver, sample: type) -> None:
    """Its record has none, and MLflow has those that were reported while it ran."""
    trial = sample.trial(1)
    trained = sample.record(trial)
    crashed = sample.record(trial, "censored", trace=[], gradients=[], epochs_run=0)
    with driver(store) as tracker:
        tracker.start_trial(trial, 1)
        tracker.log_epochs(trial.key, trained.trace)
        while tracker.waiting:
            time.sleep(0.01)
        tracker.finish_trial(crashed)
        assert tracker.close("FINISHED", [crashed]) == ""
    run = sample.run(store, trial).info.run_id
    assert len(MlflowClient(store).get_metric_history(run, "epoch")) == len(trained.trace) > 0


def test_the_run_of_a_trial_follows_a_result_that_was_stored_after_its_crash(
    store: str, driver: Driver, sample: type
) -> None:
    """The driver has written the crash to MLflow, and the storage has the trial's result at the end of the sweep."""
    trial = sample.trial(1)
    crashed = sample.record(trial, "censored", trace=[], gradients=[], epochs_run=0)
    with driver(store) as tracker:
        tracker.start_trial(trial, 1)
        tracker.finish_trial(crashed)
        while tracker.waiting:
            time.sleep(0.01)
        assert sample.run(store, trial).info.status == "FAILED"
        late = sample.record(trial)
        assert tracker.close("FINISHED", [late]) == ""
    run = sample.run(store, trial)
    assert (run.info.status, run.data.tags["outcome"]) == ("FINISHED", "unstable")
    assert not run.data.tags.get("censor_reason")
    assert sample.history(store, run, "epoch") == [(epoch, epoch) for epoch in range(1, 7)]


def test_values_that_databases_change_are_no_difference(store: str, driver: Driver, sample: type) -> None:
    rows = [{"epoch": 1, "a/zero": -0.0, "a/none": None, "a/tiny": 5e-324, "a/third": 1 / 3, "a/huge": 1.7e308}]
    record = sample.record(sample.trial(), trace=rows, epochs_run=1, device_seconds=0.1 + 0.2)
    with driver(store) as tracker:
        tracker.finish_trial(record)
        while tracker.waiting:
            time.sleep(0.01)
        (before,) = sample.runs(store, "trial")
        assert tracker.close("FINISHED", [record]) == ""
    (after,) = sample.runs(store, "trial")
    assert before.info.run_id == after.info.run_id


def test_what_cannot_be_written_again_is_said_in_one_sentence(
    store: str, driver: Driver, sample: type, written: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with driver(store, written[:1]) as tracker:
        said = tracker.close("FINISHED", written[:1])
    assert said.startswith("MLflow differs from the storage in 2 trials (trial ")
    assert said.endswith(": its run is finished, and the storage has no record of it)")
    assert len(sample.runs(store, "trial")) == 3, "a run without a record is never deleted"
    params = SweepRuns._params
    monkeypatch.setattr(SweepRuns, "_params", lambda self, trial: params(self, trial) | {"seed": time.time_ns()})
    with driver(store, written) as tracker:
        assert "its run has another parameter seed" in tracker.close("FINISHED", written)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_a_run_that_may_not_be_deleted_does_not_keep_a_driver(
    store: str, driver: Driver, sample: type, written: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's right EDIT does not include it. The storage has nothing that a driver could wait for."""
    run = sample.run(store, sample.trial(0))

    def refuse(*_: object) -> None:
        raise RuntimeError("Permission denied")

    monkeypatch.setattr(SweepRuns, "delete_trials", refuse)
    with driver(store, written) as tracker:
        while tracker.waiting:
            time.sleep(0.01)
        MlflowClient(store).set_tag(run.info.run_id, "outcome", "changed")
        assert "Permission denied" in tracker.close("FINISHED", written, deadline_s=10.0)


@pytest.mark.slow
def test_runs_of_other_programs_break_nothing(store: str, driver: Driver, sample: type, written: list[Any]) -> None:
    """Runs without params, without a key and without a role."""
    client = MlflowClient(store)
    experiment = sample.runs(store, "sweep")[0].info.experiment_id
    key = written[0].key
    for tags in ({"role": "trial"}, {"role": "trial", "trial_key": key}, {}, {"trial_key": "strange", "role": "x"}):
        client.create_run(experiment, int(time.time() * 1000), {"sweep": "demo", **tags}, "strange")
    with driver(store, written) as tracker:
        assert tracker.close("FINISHED", written) == ""
    assert TrackedSweep(store, "demo").pages.keys() >= {record.key for record in written}
    assert sample.run(store, sample.trial(0)).data.params["seed"] == "0"


@pytest.mark.parametrize("status", ["FINISHED", "KILLED"])
def test_a_comparison_asks_for_each_trial_twice_and_again_only_for_what_it_repaired(
    store: str,
    driver: Driver,
    sample: type,
    written: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    status: Literal["FINISHED", "KILLED"],
) -> None:
    """An interrupted sweep asks for nothing, because its end must not take minutes."""
    asked: Counter[str] = Counter()
    runs = {sample.run(store, sample.trial(seed)).info.run_id: seed for seed in range(3)}
    for name in ("get_metric_history", "list_artifacts"):
        original = getattr(MlflowClient, name)

        def counted(self: MlflowClient, run: str, *rest: str, original: Any = original, name: str = name) -> Any:
            asked[f"{name} {runs.get(run, 'new')}"] += 1
            return original(self, run, *rest)

        monkeypatch.setattr(MlflowClient, name, counted)
    with driver(store, written) as tracker:
        while tracker.waiting:
            time.sleep(0.01)
        lose_an_epoch(store, next(iter(runs)))
        assert tracker.close(status, written) == ""
    both = {f"{name} {seed}": 1 for name in ("get_metric_history", "list_artifacts") for seed in (1, 2)}
    new = {"get_metric_history 0": 1, "get_metric_history new": 2, "list_artifacts new": 1}  # one to write it
    assert asked == ({**both, **new} if status == "FINISHED" else {})


@pytest.mark.slow
def test_a_comparison_that_takes_longer_than_the_deadline_is_ended(
    store: str, driver: Driver, written: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer takes half of the deadline, and all of them twice as long as it."""
    original = MlflowClient.list_artifacts

    def slow(self: MlflowClient, run: str) -> Any:
        time.sleep(1)
        return original(self, run)

    with driver(store, written) as tracker:
        while tracker.waiting:
            time.sleep(0.01)
        monkeypatch.setattr(MlflowClient, "list_artifacts", slow)
        assert tracker.close("FINISHED", written, deadline_s=2) == ""
