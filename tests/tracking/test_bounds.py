"""During an outage of the server, memory stays bounded, and no content of a record is lost."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import pytest

from core.tracking import SweepTracker
from core.tracking import writer as writer_module
from core.tracking.runs import SweepRuns

Driver = Callable[..., SweepTracker]
LIMIT = 2000


def test_300_trials_of_a_server_that_never_answers(
    dead_server: str, driver: Driver, sample: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MAX_ROWS", LIMIT)
    trials = [sample.trial(seed) for seed in range(300)]
    with driver(dead_server) as tracker:
        time.sleep(1)  # MLflow has been imported before.

        def grown(work: Callable[[], None]) -> float:
            tracemalloc.start()
            work()
            size, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return size

        def start() -> None:
            for trial in trials:
                tracker.start_trial(trial, 1)
                tracker.set_summary("| done |" * 100)

        def report() -> None:
            for epoch in range(1, 41):
                for trial in trials:
                    tracker.log_epochs(trial.key, sample.rows(trial, epoch, first=epoch))

        assert grown(start) < 300 * 6_000
        assert grown(report) < LIMIT * 2_000, "12000 rows of 5 metrics were reported"
        for trial in trials:
            tracker.finish_trial(sample.record(trial))
        assert tracker._writer._rows == 0, "a record has all rows of its trial"
        tracker.close("KILLED", deadline_s=0.1)


def test_rows_left_out_come_back_with_their_record(
    store: str, driver: Driver, sample: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, open_trial = sample.trial(0), sample.trial(1)
    monkeypatch.setattr(writer_module, "MAX_ROWS", 3)
    opened = SweepRuns.open_sweep
    away = True

    def unless_away(self: SweepRuns, time: int) -> None:
        if away:
            raise ConnectionError("away")
        opened(self, time)

    monkeypatch.setattr(SweepRuns, "open_sweep", unless_away)
    with driver(store) as tracker:
        for started in (trial, open_trial):
            tracker.start_trial(started, 1)
        for epoch in range(1, 7):
            for reported in (trial, open_trial):
                tracker.log_epochs(reported.key, sample.rows(reported, epoch, first=epoch))
        away = False
        tracker.finish_trial(sample.record(trial))
        assert tracker.close("FINISHED") == ""
    assert len(sample.history(store, sample.run(store, trial), "epoch")) == 6
    assert len(sample.history(store, sample.run(store, open_trial), "epoch")) == 1, "the limit was reached"


def test_a_driver_that_starts_again_writes_only_what_the_store_lacks(
    store: str, driver: Driver, sample: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    whole = SweepRuns.finish_trial

    def noted(self: SweepRuns, record: object, time: int) -> None:
        written.append(record.key)  # type: ignore[attr-defined]
        whole(self, record, time)  # type: ignore[arg-type]

    monkeypatch.setattr(SweepRuns, "finish_trial", noted)
    known, lost, cut, changed = (sample.trial(seed) for seed in range(4))
    records = [sample.record(trial) for trial in (known, lost, cut, changed)]
    with driver(store) as tracker:
        for trial in (known, cut, changed):
            tracker.start_trial(trial, 1)
        for record in (records[0], records[3]):
            tracker.finish_trial(record)
    assert written == [known.key, changed.key]
    records[3] = sample.record(changed, device_seconds=9.0)
    with driver(store, records):
        pass
    assert sorted(written[2:]) == sorted([lost.key, cut.key, changed.key])
    assert {sample.run(store, trial).info.status for trial in (known, lost, cut)} == {"FINISHED"}
    assert sample.run(store, changed).data.metrics["outcome/device_seconds"] == 9.0


@pytest.mark.slow
def test_a_slow_store_is_waited_for_as_long_as_it_takes_entries(
    store: str, driver: Driver, sample: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = SweepRuns.start_trial

    def slowly(self: SweepRuns, *args: object) -> None:
        time.sleep(2)
        whole(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(SweepRuns, "start_trial", slowly)
    with driver(store) as tracker:
        for seed in range(6):
            tracker.start_trial(sample.trial(seed), 1)
        assert tracker.close("FINISHED", deadline_s=8.0) == ""
