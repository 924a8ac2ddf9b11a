"""A request whose answer is lost, although the server applied it, leaves no second run."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from core.tracking import SweepTracker, prepare_store
from core.tracking.runs import SweepRuns
from tests.servers.proxy import LATE, LOSE_ANSWER, PASS, proxy

Driver = Callable[..., SweepTracker]


class Faults:
    """Applies one fault to the first requests of an endpoint.

    Attributes:
        left: number of requests that the fault still hits.
    """

    def __init__(self) -> None:
        self.fault, self.endpoint, self.left = PASS, "", 0
        self._mutex = threading.Lock()

    def hit(self, endpoint: str, fault: str, times: int) -> None:
        """Apply the fault to the next requests of the endpoint."""
        self.fault, self.endpoint, self.left = fault, endpoint, times

    def __call__(self, method: str, path: str) -> str:
        with self._mutex:
            if self.left and path.endswith(self.endpoint):
                self.left -= 1
                return self.fault
        return PASS


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def uri(shared_mlflow: Any, faults: Faults) -> Iterator[str]:
    """The address of a proxy in front of the server, in which the project's experiment does not exist yet."""
    with proxy(shared_mlflow, faults) as address:
        yield address


def check_one_run_each(uri: str, sample: type, trials: list[Any], epochs: int) -> None:
    """Check that the sweep and each trial have one run, and that each epoch is there once."""
    (parent,) = sample.runs(uri, "sweep")
    assert parent.info.status == "FINISHED"
    runs = sample.runs(uri, "trial")
    assert Counter(run.data.tags["trial_key"] for run in runs) == Counter(trial.key for trial in trials)
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.params["seed"] == run.data.tags["seed"]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert [step for step, _ in sample.history(uri, run, "epoch")] == list(range(1, epochs + 1))


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize(
    "endpoint, fault",
    [
        ("/runs/create", LOSE_ANSWER),
        ("/runs/create", LATE),
        ("/runs/log-batch", LOSE_ANSWER),
        ("/runs/update", LOSE_ANSWER),
        ("/experiments/create", LOSE_ANSWER),
    ],
)
def test_a_lost_answer_leaves_one_run_per_trial(
    uri: str, faults: Faults, endpoint: str, fault: str, driver: Driver, sample: type
) -> None:
    faults.hit(endpoint, fault, 3)
    prepare_store(uri)
    trials = [sample.trial(seed) for seed in range(3)]
    with driver(uri) as tracker:
        for trial in trials:
            tracker.start_trial(trial, 1)
            tracker.log_epochs(trial.key, sample.rows(trial, 3))
        records = [sample.record(trial) for trial in trials]
        for record in records:
            tracker.finish_trial(record)
        assert tracker.close("FINISHED", records) == ""
    assert faults.left == (2 if endpoint == "/experiments/create" else 0)
    check_one_run_each(uri, sample, trials, 6)


@pytest.mark.server
@pytest.mark.slow
def test_runs_that_mlflows_own_client_multiplied_are_deleted(
    uri: str, faults: Faults, driver: Driver, sample: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user may switch on the repetitions of MLflow's client, which do not look whether a run exists."""
    prepare_store(uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    trials = [sample.trial(seed) for seed in range(2)]
    faults.hit("/runs/create", LOSE_ANSWER, 4)
    with driver(uri) as tracker:
        for trial in trials:
            tracker.start_trial(trial, 1)
        records = [sample.record(trial) for trial in trials]
        for record in records:
            tracker.finish_trial(record)
        assert tracker.close("FINISHED", records) == ""
    assert faults.left == 0
    check_one_run_each(uri, sample, trials, 6)


def test_a_run_that_was_made_although_the_request_failed_is_used(
    store: str, driver: Driver, sample: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = SweepRuns._create
    lost = []

    def losing(self: SweepRuns, name: str, tags: dict[str, str], time: int) -> Run:
        run = create(self, name, tags, time)
        if len(lost) < 2:
            lost.append(run.info.run_id)
            raise ConnectionError("504")
        return run

    monkeypatch.setattr(SweepRuns, "_create", losing)
    trial = sample.trial()
    with driver(store) as tracker:
        tracker.start_trial(trial, 1)
        record = sample.record(trial)
        tracker.finish_trial(record)
        assert tracker.close("FINISHED", [record]) == ""
    (parent,) = sample.runs(store, "sweep")
    assert [parent.info.run_id, sample.run(store, trial).info.run_id] == lost
    check_one_run_each(store, sample, [trial], 6)


def test_of_two_runs_the_one_with_params_stays(store: str, driver: Driver, sample: type) -> None:
    """A request that is applied late may give its run an earlier start than that of the repeated request."""
    trial = sample.trial()
    client = MlflowClient(tracking_uri=store)
    with driver(store) as tracker:
        tracker.start_trial(trial, 1)
        record = sample.record(trial)
        tracker.finish_trial(record)
        assert tracker.close("FINISHED", [record]) == ""
    runs = [sample.run(store, trial), *sample.runs(store, "sweep")]
    for run in runs:
        client.create_run(run.info.experiment_id, run.info.start_time - 1, run.data.tags, run.info.run_name)
    with driver(store, [record]) as tracker:
        assert tracker.close("FINISHED", [record]) == ""
    assert [sample.run(store, trial), *sample.runs(store, "sweep")][0].info.run_id == runs[0].info.run_id
    assert [run.info.run_id for run in sample.runs(store, "sweep")] == [runs[1].info.run_id]
