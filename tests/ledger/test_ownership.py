"""A file says whose it is: checkpoints and records of another trial, sweep or protocol are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.config import ProtocolOptions, Sweep, Trial
from core.ledger.ledger import DamagedRecordError, Ledger
from core.records import TrialRecord, read_record
from core.records.seal import check_seal, sealed
from core.storage import Store

Change = Callable[[TrialRecord], TrialRecord]


@pytest.fixture
def ledger(tmp_path: Path, make_sweep: Callable[..., Sweep], make_record: Callable[..., TrialRecord]) -> Ledger:
    """A stored sweep with one finished trial."""
    sweep = make_sweep()
    ledger = Ledger(Store(str(tmp_path / "first")), "first")
    ledger.enter(sweep)
    ledger.write(make_record(Trial(cell=sweep.entries[0].cell, seed=2), "stable"))
    return ledger


def record_file(ledger: Ledger) -> Path:
    return next(Path(ledger.store.root).glob("trials/*/record.json"))


def test_a_sealed_object_is_the_object_with_one_more_field() -> None:
    written = sealed('{"a":1,"b":{"sha256":"x"}}')
    assert {**json.loads(written), "sha256": None} == {"a": 1, "b": {"sha256": "x"}, "sha256": None}
    check_seal(written)


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_any_changed_byte_of_a_record_is_noticed(ledger: Ledger, at: int) -> None:
    content = record_file(ledger).read_bytes()
    position = at * len(content) // 60
    digit = b"7" if content[position : position + 1] != b"7" else b"8"
    record_file(ledger).write_bytes(content[:position] + digit + content[position + 1 :])
    with pytest.raises(DamagedRecordError, match=r"record\.json"):
        Ledger(ledger.store, "first").records()


def unsealed(record: TrialRecord) -> bytes:
    """A record as an earlier version wrote it, or as someone writes it who removes the checksum."""
    return record.model_dump_json().encode()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: r.model_copy(update={"cell": {**r.cell, "beta": 99.0}}), "the id .* is not that of its cell"),
        (lambda r: r.model_copy(update={"cell": {}}), "the id .* is not that of its cell"),
        (lambda r: r.model_copy(update={"sweep": "other"}), "it belongs to sweep other"),
        (
            lambda r: r.model_copy(update={"protocol": {**r.protocol, "fosc_threshold": 2.25}}),
            "protocol fosc_threshold: .* stored, 2.25 given",
        ),
    ],
)
def test_a_record_of_something_else_is_refused_without_a_checksum_too(
    ledger: Ledger, change: Change, reason: str
) -> None:
    file = record_file(ledger)
    file.write_bytes(unsealed(change(read_record(file.read_bytes()))))
    with pytest.raises(DamagedRecordError, match=reason):
        Ledger(ledger.store, "first").records()


def test_a_record_of_an_earlier_version_has_no_checksum_and_is_read(ledger: Ledger) -> None:
    file = record_file(ledger)
    before = read_record(file.read_bytes())
    file.write_bytes(unsealed(before))
    assert list(Ledger(ledger.store, "first").records().values()) == [before]


def test_a_sweep_without_its_description_is_guarded_by_its_records(
    ledger: Ledger, make_sweep: Callable[..., Sweep], make_record: Callable[..., TrialRecord]
) -> None:
    (Path(ledger.store.root) / "sweep.json").unlink()
    record = next(iter(Ledger(ledger.store, "first").records().values()))
    same = make_sweep(protocol=ProtocolOptions.model_validate(record.protocol))
    Ledger(ledger.store, "first").describe(same)
    other = same.protocol.model_copy(update={"pgd50_restarts": 7})
    with pytest.raises(ValueError, match=r"without|missing.*\n.*pgd50_restarts: \d+ stored, 7 given"):
        Ledger(ledger.store, "first").describe(make_sweep(protocol=other))


def test_a_record_in_another_trials_folder_is_named(ledger: Ledger) -> None:
    folder = record_file(ledger).parent
    shutil.copytree(folder, folder.with_name(folder.name + "0"))
    with pytest.raises(DamagedRecordError, match="it belongs to trial"):
        Ledger(ledger.store, "first").records()
