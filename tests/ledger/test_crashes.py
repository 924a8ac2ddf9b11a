"""Which of a trial's files is its record: a result, a crash, or a crash of an earlier version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core.config import Sweep, Trial
from core.engine.attempts import AttemptFile, Attempts
from core.engine.ranks import Ranks
from core.engine.record_file import RecordFile
from core.engine.trial_context import TrialContext
from core.ledger.ledger import DamagedRecordError, Ledger
from core.ledger.snapshot import SweepReader
from core.records import TrialRecord
from core.storage import Store
from core.storage.folder import Folder
from core.verdict import censor
from tests.stored_sweeps import PROTOCOL

RESULT, CRASH, EARLIER = "a result", "a crash", "a crash of an earlier version"


class Stored:
    """A stored sweep, one trial of it that is open, and its possible records."""

    def __init__(self, folder: Path, sweep: Sweep, make_record: Callable[..., TrialRecord]) -> None:
        self.folder, self.ledger = folder, Ledger(Store(str(folder)), "first")
        self.ledger.enter(sweep)
        self.trial = Trial(cell=sweep.entries[0].cell, seed=2)
        result = make_record(self.trial, "stable")
        self.records = {
            RESULT: result,
            CRASH: result.model_copy(update={"verdict": censor("crashed: now"), "attempts": 2}),
            EARLIER: result.model_copy(update={"verdict": censor("crashed: long ago")}),
        }

    def file(self, name: str) -> Path:
        return self.folder / "trials" / self.trial.key / name

    def put(self, name: str, what: str) -> None:
        """Store a record as ``name``, as a version may have done that is not under test."""
        self.ledger.trial_store(self.trial.key).write(name, self.records[what].to_json())

    def names(self) -> list[str]:
        return self.ledger.trial_store(self.trial.key).names()

    def found_by_worker(self) -> TrialRecord | None:
        store = self.ledger.trial_store(self.trial.key)
        context = TrialContext("first", store, Ranks(), lambda *_: None, "none")
        return RecordFile(self.trial, PROTOCOL, context).read()


@pytest.fixture
def stored(tmp_path: Path, make_sweep: Callable[..., Sweep], make_record: Callable[..., TrialRecord]) -> Stored:
    return Stored(tmp_path, make_sweep(), make_record)


@pytest.mark.parametrize(
    ("record", "crash", "counts"),
    [
        (None, None, None),
        (None, CRASH, CRASH),
        (RESULT, None, RESULT),
        (RESULT, CRASH, RESULT),
        (EARLIER, None, EARLIER),
        (EARLIER, CRASH, CRASH),
    ],
)
def test_a_result_counts_before_a_crash_and_this_before_one_of_an_earlier_version(
    stored: Stored, record: str | None, crash: str | None, counts: str | None
) -> None:
    for name, what in (("record.json", record), ("crash.json", crash)):
        if what:
            stored.put(name, what)
    expected = stored.records[counts] if counts else None
    assert stored.ledger.record(stored.trial.key) == expected
    assert stored.ledger.records() == ({stored.trial.key: expected} if expected else {})
    assert stored.found_by_worker() == expected


@pytest.mark.parametrize(
    ("record", "crash", "left"),
    [
        (None, None, []),
        (None, CRASH, []),
        (RESULT, None, ["record.json"]),
        (RESULT, CRASH, ["record.json"]),
        (EARLIER, None, []),
        (EARLIER, CRASH, []),
    ],
)
def test_a_crash_is_forgotten_wherever_it_is_and_a_result_never(
    stored: Stored, record: str | None, crash: str | None, left: list[str]
) -> None:
    for name, what in (("record.json", record), ("crash.json", crash)):
        if what:
            stored.put(name, what)
    stored.ledger.delete_crash(stored.trial.key)
    assert stored.names() == left


def test_a_driver_stores_a_crash_and_replaces_it_by_the_next_one(stored: Stored) -> None:
    for what in (EARLIER, CRASH):
        crash = stored.records[what]
        assert stored.ledger.write(crash) == crash
        assert stored.names() == ["crash.json"]
        assert stored.ledger.record(stored.trial.key) == crash


def test_a_result_that_is_stored_late_counts_and_a_reader_notices_it(stored: Stored) -> None:
    stored.ledger.write(stored.records[CRASH])
    reader = SweepReader(stored.ledger)
    assert reader.read().finished == [stored.records[CRASH]]
    assert stored.ledger.write(stored.records[RESULT]) == stored.records[RESULT]
    assert stored.names() == ["crash.json", "record.json"]
    assert reader.read().finished == [stored.records[RESULT]]
    assert stored.ledger.write(stored.records[CRASH]) == stored.records[RESULT], "a crash is not stored beside a result"


def test_the_attempts_of_a_trial_outlive_its_crash(stored: Stored) -> None:
    attempts = Attempts(number=2, device_seconds=70.0)
    AttemptFile(stored.ledger.trial_store(stored.trial.key), stored.trial.key).write(attempts)
    stored.ledger.write(stored.records[CRASH])
    stored.ledger.delete_crash(stored.trial.key)
    assert stored.ledger.attempts_at_open_trials({}) == {stored.trial.key: attempts}


@pytest.mark.parametrize(
    ("what", "files"),
    [
        (None, ["record.json", "crash.json"]),
        (CRASH, ["record.json", "crash.json"]),
        (RESULT, ["record.json", "evaluation.json", "measures.json"]),
    ],
)
def test_a_trial_with_a_result_costs_no_further_request_and_another_one(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, what: str | None, files: list[str]
) -> None:
    if what:
        stored.ledger.write(stored.records[what])
    read, asked = Folder.read, []

    def noted(self: Folder, path: str) -> bytes | None:
        asked.append(path)
        return read(self, path)

    monkeypatch.setattr(Folder, "read", noted)
    Ledger(stored.ledger.store, "first").record(stored.trial.key)
    assert [path.rpartition("/")[2] for path in asked if path != "sweep.json"] == files


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content.replace(b'"seed":2', b'"seed":3'), "checksum"),
        (lambda content: content[: len(content) // 2], "JSON"),
        (lambda content: b"", "JSON"),
    ],
)
def test_a_damaged_crash_is_named_as_a_damaged_record_is(
    stored: Stored, change: Callable[[bytes], bytes], reason: str
) -> None:
    stored.ledger.write(stored.records[CRASH])
    file = stored.file("crash.json")
    file.write_bytes(change(file.read_bytes()))
    for ask in (stored.ledger.records, lambda: stored.ledger.delete_crash(stored.trial.key)):
        with pytest.raises(DamagedRecordError, match=rf"{file} .*{reason}[^\0]*crash.json was moved is trained again"):
            ask()
    stored.put("record.json", RESULT)
    assert stored.ledger.records() == {stored.trial.key: stored.records[RESULT]}, "beside a result it means nothing"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seed": 3}, "it belongs to trial"),
        ({"sweep": "other"}, "it belongs to sweep other"),
        ({"verdict": censor("diverged: loss")}, "it is not the record of a crash"),
    ],
)
def test_a_crash_of_something_else_is_refused(stored: Stored, changes: dict[str, object], reason: str) -> None:
    content = stored.records[CRASH].model_copy(update=changes).to_json()
    stored.ledger.trial_store(stored.trial.key).write("crash.json", content)
    with pytest.raises(DamagedRecordError, match=rf"crash\.json \({reason}"):
        stored.ledger.records()
