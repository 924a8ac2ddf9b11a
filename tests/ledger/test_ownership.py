"""A file says whose it is: checkpoints and records of another trial, sweep or protocol are refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.config import Cell, ProtocolOptions, Rerun, SeededCell, Sweep, Trial
from core.ledger.additions import write_evaluations, write_measures
from core.ledger.description import SweepDescription, read_description
from core.ledger.earlier import stored_rerun
from core.ledger.ledger import DamagedRecordError, Ledger
from core.records import Evidence, Measured, Measurement, Outcome, TrialRecord, Verdict, read_record
from core.seal import ChecksumError, check_seal, sealed
from core.storage import Store
from core.sweep.trial_plan import fixed_trials
from tests.stored_sweeps import interrupted

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


def test_a_checksum_at_another_place_protects_nothing_and_is_refused() -> None:
    written = json.loads(sealed('{"trial":"a-1","count":3}'))
    with pytest.raises(ChecksumError, match="not its last field"):
        check_seal(json.dumps({**written, "count": 4}, sort_keys=True).encode())
    check_seal(b'{"files":{"sha256":"0"},"count":3}')


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


def test_a_driver_does_not_replace_the_record_of_a_slow_worker(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    (record,) = ledger.records().values()
    assert record.verdict is not None
    verdict = record.verdict.model_copy(update={"outcome": "censored", "censor_reason": "crashed: it is slow"})
    before = record_file(ledger).read_bytes()
    censored = record.model_copy(update={"verdict": verdict})
    assert ledger.write(censored) == record
    assert record_file(ledger).read_bytes() == before
    with monkeypatch.context() as patch:  # It appears after the driver has looked for one.
        patch.setattr(Ledger, "record", lambda *_: None)
        assert ledger.write(censored) == censored
    assert record_file(ledger).read_bytes() == before
    assert ledger.record(record.key) == record


def unsealed(record: TrialRecord) -> bytes:
    """A record as an earlier version wrote it, which had neither a checksum nor the last field of this version."""
    return record.model_dump_json(exclude={"took_part"}).encode()


def sorted_again(content: bytes) -> bytes:
    return json.dumps(json.loads(content), sort_keys=True).encode()


def without_checksum(content: bytes) -> bytes:
    return json.dumps({name: value for name, value in json.loads(content).items() if name != "sha256"}).encode()


RESULTS = ("record.json", "evaluation.json", "measures.json")


@pytest.mark.parametrize(
    ("name", "rewrite", "reason"),
    [
        *((name, sorted_again, "its checksum") for name in (*RESULTS, "sweep.json")),
        *((name, without_checksum, "checksum is missing") for name in RESULTS),
    ],
)
def test_a_file_that_another_program_wrote_again_is_refused(
    ledger: Ledger, name: str, rewrite: Callable[[bytes], bytes], reason: str
) -> None:
    """Most programs that write JSON keep the checksum somewhere or lose it; neither protects what they changed."""
    (record,) = ledger.records().values()
    ledger.write_evaluations(evaluated(record))
    ledger.write_measures(evaluated(record))
    file = Path(ledger.store.root) / name if name == "sweep.json" else record_file(ledger).with_name(name)
    file.write_bytes(rewrite(file.read_bytes().replace(b'"stable"', b'"unstable"')))
    with pytest.raises(ValueError, match=f"{name} .*{reason}"):
        read_description(ledger.store) if name == "sweep.json" else Ledger(ledger.store, "first").records()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda r: r.model_copy(update={"cell": {**r.cell, "beta": 99.0}}), "the id .* is not that of its cell"),
        (lambda r: r.model_copy(update={"cell": {**r.cell, "beta": 5e9}}), "the id .* is not that of its cell"),
        (lambda r: r.model_copy(update={"cell": {}}), "the id .* is not that of its cell"),
        (lambda r: r.model_copy(update={"sweep": "other"}), "it belongs to sweep other"),
        (
            lambda r: r.model_copy(update={"protocol": {**r.protocol, "fosc_threshold": 2.25}}),
            r"protocol fosc_threshold: 2.5 in sweep\.json, 2.25 in the record",
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


def test_a_cell_that_only_another_version_or_a_plug_in_can_build_is_not_refused(ledger: Ledger) -> None:
    file = record_file(ledger)
    record = read_record(file.read_bytes())
    newer = record.model_copy(update={"cell": {**record.cell, "option_of_later": 1}})
    file.write_bytes(newer.to_json())
    assert Ledger(ledger.store, "first").records() == {record.key: newer}
    with_plugin = record.model_copy(update={"cell": {**record.cell, "plugins": ["mine@0123456789ab"]}})
    file.write_bytes(unsealed(with_plugin))
    assert Ledger(ledger.store, "first").records() == {record.key: read_record(unsealed(with_plugin))}


def test_a_record_of_an_earlier_version_has_no_checksum_and_is_read(ledger: Ledger) -> None:
    file = record_file(ledger)
    before = read_record(file.read_bytes())
    file.write_bytes(unsealed(before))
    assert list(Ledger(ledger.store, "first").records().values()) == [before]


def test_a_description_with_plans_and_without_a_checksum_is_read(ledger: Ledger) -> None:
    """Versions between 0.1.0 and the first checksums wrote such files."""
    file = Path(ledger.store.root) / "sweep.json"
    written = json.loads(file.read_bytes())
    assert written.pop("sha256")
    assert written["plans"]
    file.write_text(json.dumps(written, indent=1))
    assert len(Ledger(ledger.store, "first").records()) == 1


def test_a_sweep_without_its_description_keeps_the_cells_of_its_records(
    ledger: Ledger, make_sweep: Callable[..., Sweep], make_record: Callable[..., TrialRecord]
) -> None:
    """Without a cell of a record, the trials' names would not say what varies."""
    (Path(ledger.store.root) / "sweep.json").unlink()
    whole = make_sweep()
    other = whole.model_copy(update={"entries": whole.entries[1:]})
    again = Ledger(ledger.store, "first")
    again.enter(other)
    stored = read_description(ledger.store)
    assert stored is not None
    assert stored.cells.keys() == {entry.cell.id for entry in whole.entries}


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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "second"}, "name: first stored, second given"),
        ({"pin_groups": ({"order": 1},)}, "pinned streams of group 1: none stored, {'order': 1} given"),
    ],
)
def test_without_its_description_another_name_or_other_pins_are_refused(
    ledger: Ledger, make_sweep: Callable[..., Sweep], change: dict[str, Any], said: str
) -> None:
    """Also nothing is written, and so no trial is trained before this is noticed."""
    (Path(ledger.store.root) / "sweep.json").unlink()
    (record,) = ledger.records().values()
    protocol = ProtocolOptions.model_validate(record.protocol)
    other = make_sweep(protocol=protocol, **change)
    with pytest.raises(ValueError, match=f"is missing:\n  {re.escape(said)}"):
        Ledger(ledger.store, other.name).enter(other)
    assert ledger.store.names() == []


def rerun_of(sweep: Sweep, where: Outcome = "unstable", earlier: str = "quick") -> Sweep:
    """The sweep with seeds that were those of trials of an earlier sweep."""
    there = {entry.cell.id: f"there-{number}" for number, entry in enumerate(sweep.entries)}
    return sweep.model_copy(update={"rerun": Rerun(sweep=earlier, where=(where,), counterparts=there)})


@pytest.mark.parametrize(
    ("stored", "given", "said"),
    [
        (rerun_of, lambda sweep: rerun_of(sweep, "healed"), "seeds from where: ['unstable'] stored, ['healed'] given"),
        (rerun_of, lambda sweep: rerun_of(sweep, earlier="old"), "seeds from sweep: quick stored, old given"),
        (rerun_of, lambda sweep: sweep, "seeds from sweep: quick stored, None given"),
        (lambda sweep: sweep, rerun_of, "seeds from sweep: None stored, quick given"),
    ],
)
def test_without_its_description_other_origins_of_seeds_are_refused(
    tmp_path: Path,
    make_sweep: Callable[..., Sweep],
    stored: Callable[[Sweep], Sweep],
    given: Callable[[Sweep], Sweep],
    said: str,
) -> None:
    """Seeds that were selected by their outcomes are no sample, and must not be counted with others as one."""
    ledger = Ledger(Store(str(tmp_path)), "first")
    sweep = stored(make_sweep())
    ledger.write(ended(fixed_trials(sweep)[0], sweep))
    with pytest.raises(ValueError, match=f"is missing:\n  {re.escape(said)}"):
        ledger.enter(given(make_sweep()))
    ledger.enter(sweep)


def test_without_its_description_a_rerun_keeps_the_counterparts_of_its_records(
    tmp_path: Path, make_sweep: Callable[..., Sweep]
) -> None:
    """Without them, the report would not compare the cell with that of the earlier sweep."""
    ledger = Ledger(Store(str(tmp_path / "first")), "first")
    whole = rerun_of(make_sweep())
    ledger.write(ended(fixed_trials(whole)[0], whole))
    ledger.enter(whole.model_copy(update={"entries": whole.entries[1:], "rerun": only_last(whole)}))
    assert stored_rerun(str(tmp_path), "first") == whole.rerun


def only_last(sweep: Sweep) -> Rerun:
    assert sweep.rerun is not None
    last = sweep.entries[-1].cell.id
    return sweep.rerun.model_copy(update={"counterparts": {last: sweep.rerun.counterparts[last]}})


def test_records_that_do_not_say_where_their_seeds_are_from_are_continued(
    tmp_path: Path, make_sweep: Callable[..., Sweep]
) -> None:
    """Earlier versions wrote such records."""
    ledger = Ledger(Store(str(tmp_path)), "first")
    sweep = rerun_of(make_sweep())
    record = ended(fixed_trials(sweep)[0], sweep)
    content = sealed(record.model_dump_json(exclude={"rerun"}))
    ledger.trial_store(record.key).write("record.json", content)
    ledger.enter(sweep)


def ended(trial: Trial, sweep: Sweep) -> TrialRecord:
    """The record of a stable trial."""
    protocol, verdict = sweep.protocol.model_dump(mode="json"), Verdict(outcome="stable", onset=False)
    return TrialRecord(sweep=sweep.name, **trial.record_fields(), protocol=protocol, verdict=verdict, epochs_run=50)


GOLDEN = Path(__file__).parents[1] / "golden" / "stores" / "v0.1.0" / "golden-fixed"


def golden(tmp_path: Path, **protocol: object) -> Path:
    """A copy of a store of unmask 0.1.0, which has no checksums, with other values in its description's protocol."""
    shutil.copytree(GOLDEN, tmp_path / "golden-fixed")
    file = tmp_path / "golden-fixed" / "sweep.json"
    stored = json.loads(file.read_text())
    file.write_text(json.dumps({**stored, "protocol": {**stored["protocol"], **protocol}}))
    return file


def stored_again(description: SweepDescription) -> Sweep:
    """The sweep whose command line has the values of a stored description."""
    cells = [Cell.stored(cell, "it") for cell in description.cells.values()]
    return Sweep(
        name=description.name,
        preset=description.preset,
        entries=tuple(SeededCell(cell=cell, seeds=2) for cell in cells),
        protocol=description.protocol_options(),
    )


def test_a_changed_description_without_a_checksum_is_named_and_no_record_is_blamed(tmp_path: Path) -> None:
    described = read_description(Store(str(GOLDEN)))
    assert described is not None
    file = golden(tmp_path, fosc_threshold=7.25)
    found = Ledger(Store(str(file.parent)), "golden-fixed")
    for ask in (found.records, lambda: found.describe(stored_again(described))):
        with pytest.raises(ValueError, match=r"sweep\.json is damaged \(protocol fosc_threshold: 7\.25 here") as error:
            ask()
        assert f"{described.protocol['fosc_threshold']} in all 4 records); move this file away" in str(error.value)
        assert not isinstance(error.value, DamagedRecordError)
        assert "record.json" not in str(error.value)
    file.unlink()
    found = Ledger(Store(str(file.parent)), "golden-fixed")
    found.enter(stored_again(described))
    assert len(found.records()) == 4


def change_first_record(folder: Path) -> list[Path]:
    """Give one record another protocol, and return the files of all records, this one first."""
    files = sorted(folder.glob("trials/*/record.json"))
    stored = json.loads(files[0].read_text())
    files[0].write_text(json.dumps({**stored, "protocol": {**stored["protocol"], "fosc_threshold": 7.25}}))
    return files


def test_records_that_differ_among_themselves_say_nothing_about_the_description(tmp_path: Path) -> None:
    folder = golden(tmp_path, fosc_threshold=8.5).parent
    change_first_record(folder)
    with pytest.raises(DamagedRecordError, match=r"8\.5 in sweep\.json, 7\.25 in the record"):
        Ledger(Store(str(folder)), "golden-fixed").records()


def test_one_changed_record_of_several_is_named_and_not_the_description(tmp_path: Path) -> None:
    folder = golden(tmp_path).parent
    changed, *others = change_first_record(folder)
    with pytest.raises(DamagedRecordError, match=r"7\.25 in the record") as error:
        Ledger(Store(str(folder)), "golden-fixed").records()
    assert str(changed) in str(error.value)
    assert not any(str(other) in str(error.value) for other in others)


def test_a_sweep_of_a_newer_version_is_continued_with_that_version(tmp_path: Path) -> None:
    """Its records are read: an option that only one side has is one whose default this version does not know."""
    described = read_description(Store(str(GOLDEN)))
    assert described is not None
    file = golden(tmp_path, future_option=3)
    found = Ledger(Store(str(file.parent)), "golden-fixed")
    with pytest.raises(ValueError, match=r"a newer version of unmask has written .*: future_option; continue") as error:
        found.describe(stored_again(described))
    assert "Give another --name, or the stored values" not in str(error.value)
    assert len(found.records()) == 4


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_any_changed_byte_of_the_description_is_noticed(ledger: Ledger, at: int) -> None:
    file = Path(ledger.store.root) / "sweep.json"
    content = file.read_bytes()
    position = at * len(content) // 60
    digit = b"7" if content[position : position + 1] != b"7" else b"8"
    file.write_bytes(content[:position] + digit + content[position + 1 :])
    with pytest.raises(ValueError, match=r"sweep\.json is damaged .*; move this file away"):
        read_description(ledger.store)


def test_the_description_of_another_sweep_is_named_and_no_record_is_blamed(
    ledger: Ledger, tmp_path: Path, make_sweep: Callable[..., Sweep]
) -> None:
    other = Ledger(Store(str(tmp_path / "second")), "second")
    other.enter(make_sweep(name="second"))
    (Path(ledger.store.root) / "sweep.json").write_bytes((tmp_path / "second" / "sweep.json").read_bytes())
    found = Ledger(ledger.store, "first")
    for ask in (found.records, lambda: found.describe(make_sweep())):
        with pytest.raises(
            ValueError, match=r"first/sweep\.json belongs to sweep second; move this file away"
        ) as error:
            ask()
        assert not isinstance(error.value, DamagedRecordError)


def test_the_progress_of_another_sweep_is_named(ledger: Ledger) -> None:
    ledger.write_progress(interrupted(sweep="second"))
    with pytest.raises(ValueError, match=r"progress\.json belongs to sweep second; delete this file"):
        ledger.progress()


def evaluated(record: TrialRecord) -> TrialRecord:
    measurement = Measurement(attack="pgd-50", accuracy=0.25, images=4, split="test", seed=0)
    measured = Measured(
        measure="calibration",
        checkpoint="last",
        epoch=1,
        split="test",
        images=4,
        epsilon=0.1,
        block=4,
        seed=0,
        values={"error": 0.25},
    )
    evidence = Evidence(checkpoint="last", epoch=1, measurements=(measurement,))
    return record.model_copy(update={"evaluations": (evidence,), "measures": (measured,)})


@pytest.mark.parametrize("name", ["evaluation.json", "measures.json"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content.replace(b"0.25", b"0.75", 1), "checksum"),
        (lambda content: content[: len(content) // 2], "JSON"),
        (lambda content: b"\x93\x00\xff" * 40, "JSON"),
    ],
)
def test_a_damaged_evaluation_is_noticed(
    ledger: Ledger, name: str, change: Callable[[bytes], bytes], reason: str
) -> None:
    (record,) = ledger.records().values()
    with_both = evaluated(record)
    ledger.write_evaluations(with_both)
    ledger.write_measures(with_both)
    (again,) = ledger.records().values()
    assert (again.evaluations, again.measures) == (with_both.evaluations, with_both.measures)
    file = record_file(ledger).with_name(name)
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(DamagedRecordError, match=f"{name} .*{reason}"):
        ledger.records()


@pytest.mark.parametrize("name", ["evaluation.json", "measures.json"])
@pytest.mark.parametrize(
    ("owner", "reason"),
    [({"seed": 3}, "it belongs to trial"), ({"checkpoints": {"last.pt": "0" * 64}}, "it belongs to other weights")],
)
def test_an_evaluation_of_other_weights_is_refused(
    ledger: Ledger, name: str, owner: dict[str, object], reason: str
) -> None:
    (record,) = ledger.records().values()
    other = evaluated(record).model_copy(update=owner)
    write = {"evaluation.json": write_evaluations, "measures.json": write_measures}[name]
    record_file(ledger).with_name(name).write_bytes(write(other))
    with pytest.raises(DamagedRecordError, match=f"{name} .{reason}"):
        ledger.records()


def test_evaluations_of_earlier_versions_are_bare_lists_and_are_read(ledger: Ledger) -> None:
    (record,) = ledger.records().values()
    with_both = evaluated(record)
    for name, entries in (("evaluation", with_both.evaluations), ("measures", with_both.measures)):
        content = json.dumps([entry.model_dump(mode="json") for entry in entries], indent=1)
        record_file(ledger).with_name(f"{name}.json").write_text(content)
    (again,) = ledger.records().values()
    assert (again.evaluations, again.measures) == (with_both.evaluations, with_both.measures)


def test_a_record_in_another_trials_folder_is_named(ledger: Ledger) -> None:
    folder = record_file(ledger).parent
    shutil.copytree(folder, folder.with_name(folder.name + "0"))
    with pytest.raises(DamagedRecordError, match="it belongs to trial"):
        Ledger(ledger.store, "first").records()
