"""However long the server is away, the journal on disk stays small, and nothing that a record has is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.tracking import SweepTracker
from core.tracking import journal as journal_module
from core.tracking import tracker as tracker_module

Driver = Callable[..., SweepTracker]
LIMIT, SEGMENT = 60_000, 5_000
PER_START, PER_END = 2_500, 150


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker_module, "JOURNAL_BYTES", LIMIT)
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", SEGMENT)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.mark.usefixtures("small")
def test_300_trials_of_a_server_that_never_answers(driver: Driver, sample: type, tmp_path: Path) -> None:
    trials = [sample.trial(seed) for seed in range(300)]
    with driver("http://127.0.0.1:9") as tracker:
        for trial in trials:
            tracker.start_trial(trial, 1)
            tracker.set_progress({"progress/done": 1.0}, "| done |")
        for epoch in range(1, 21):
            for trial in trials:
                tracker.log_epochs(trial.key, sample.rows(trial, epoch, first=epoch))
        reported = size(tmp_path / "journal")
        for trial in trials:
            tracker.finish_trial(sample.record(trial))
        assert reported < LIMIT + 1_000 + 300 * PER_START
        assert size(tmp_path / "journal") < reported + 300 * PER_END, "an end is a key, not a record"
        for again in range(5):  # drivers that come and go while the server is away
            tracker.reconcile([], finished=[trial.key for trial in trials])
            assert size(tmp_path / "journal") < reported + 300 * PER_END + (again + 1) * 10_000
        tracker.close("KILLED", deadline_s=0.1)


@pytest.mark.usefixtures("small")
def test_rows_left_out_come_back_with_their_record(
    store: str, driver: Driver, sample: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, open_trial = sample.trial(0), sample.trial(1)
    monkeypatch.setattr(tracker_module, "JOURNAL_BYTES", 4_000)
    with driver("http://127.0.0.1:9") as tracker:
        for started in (trial, open_trial):
            tracker.start_trial(started, 1)
        for epoch in range(1, 7):
            for reported in (trial, open_trial):
                tracker.log_epochs(reported.key, sample.rows(reported, epoch, first=epoch))
        tracker.finish_trial(sample.record(trial))
        tracker.close("KILLED", deadline_s=0.1)
    with driver(store) as tracker:
        assert tracker.close("FINISHED") == 0
    assert len(sample.history(store, sample.run(store, trial), "epoch")) == 6
    left_out = sample.history(store, sample.run(store, open_trial), "epoch")
    assert len(left_out) < 6, "the limit was reached"


def test_a_driver_that_starts_again_writes_only_what_the_store_lacks(
    store: str, driver: Driver, sample: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.tracking.runs import SweepRuns

    written: list[str] = []
    whole = SweepRuns.finish_trial

    def noted(self: SweepRuns, record: object, time: int) -> None:
        written.append(record.key)  # type: ignore[attr-defined]
        whole(self, record, time)  # type: ignore[arg-type]

    monkeypatch.setattr(SweepRuns, "finish_trial", noted)
    known, lost, cut = (sample.trial(seed) for seed in range(3))
    records = [sample.record(trial) for trial in (known, lost, cut)]
    with driver(store) as tracker:
        tracker.start_trial(known, 1)
        tracker.finish_trial(records[0])
        tracker.start_trial(cut, 1)
    assert written == [known.key]
    with driver(store, "journal-of-another-machine") as tracker:
        tracker.reconcile([], finished=[record.key for record in records])
    assert written == [known.key, lost.key, cut.key]
    assert {sample.run(store, trial).info.status for trial in (known, lost, cut)} == {"FINISHED"}


def test_a_slow_store_is_waited_for_as_long_as_it_takes_entries(
    store: str, driver: Driver, sample: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.tracking.runs import SweepRuns

    whole = SweepRuns.start_trial

    def slowly(self: SweepRuns, *args: object) -> None:
        time.sleep(0.3)
        whole(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(SweepRuns, "start_trial", slowly)
    with driver(store) as tracker:
        for seed in range(6):
            tracker.start_trial(sample.trial(seed), 1)
        assert tracker.close("FINISHED", deadline_s=1.0) == 0
