from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from core.tracking import SweepTracker, TrackedSweep, prepare_store

pytestmark = [pytest.mark.server, pytest.mark.slow]
Driver = Callable[..., SweepTracker]


def test_a_server_killed_in_mid_sweep_loses_and_doubles_nothing(
    shared_mlflow: Any, driver: Driver, sample: type
) -> None:
    server = shared_mlflow
    uri = prepare_store(server.uri + "/")
    assert uri == server.uri
    trials = [sample.trial(seed) for seed in range(3)]
    longest_call = 0.0
    with driver(uri) as tracker:
        for trial in trials:
            tracker.start_trial(trial, 1)
        for epoch in range(1, 7):
            if epoch == 3:
                server.kill()
            for trial in trials:
                before = time.monotonic()
                tracker.log_epochs(trial.key, sample.rows(trial, epoch, first=epoch))
                longest_call = max(longest_call, time.monotonic() - before)
        tracker.finish_trial(sample.record(trials[0]))
        tracker.finish_trial(sample.record(trials[1], "censored"))
        time.sleep(1)
        assert tracker.waiting > 0
        server.start()
        assert tracker.close("FINISHED") == ""
    assert longest_call < 1.0
    for trial in trials:
        run = sample.run(uri, trial)
        assert sample.history(uri, run, "train/loss") == [(e, 1 / e + trial.seed) for e in range(1, 7)]
        assert len(sample.history(uri, run, "val/fosc")) == 6
    assert [sample.run(uri, trial).info.status for trial in trials] == ["FINISHED", "FAILED", "RUNNING"]
    (finished,) = (server.log.parent / "artifacts").glob(f"*/{sample.run(uri, trials[0]).info.run_id}/artifacts")
    assert (finished / "record.json").is_file(), "artifacts go through the server"


def test_basic_auth_by_environment(
    auth_server: Any, driver: Driver, sample: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="MLFLOW_TRACKING_USERNAME"):
        prepare_store(auth_server.uri)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong-password")
    with pytest.raises(ValueError, match="MLFLOW_TRACKING_PASSWORD"):
        prepare_store(auth_server.uri)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct-horse-battery")
    uri = prepare_store(auth_server.uri)
    trial = sample.trial()
    with driver(uri) as tracker:
        tracker.start_trial(trial, 1)
        tracker.finish_trial(sample.record(trial))
    assert "correct-horse" not in str(sample.content(uri))
    assert list(TrackedSweep(uri, "demo").pages) == [trial.key]
