"""A checkpoint is used by its own trial only, and the attempts at a trial are counted whatever ended them."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.config import Cell, ProtocolOptions, Trial
from core.data.fingerprint import fingerprint
from core.data.image_set import Dataset, ImageSet
from core.engine.filenames import ATTEMPTS, CRASH, RECORD, RESUME
from core.engine.ranks import Ranks
from core.engine.trial import run_trial
from core.engine.trial_context import TrialContext
from core.records import TrialRecord
from core.storage import Store
from core.storage.folder import Folder
from core.verdict import censor
from tests import tiny

Runner = Callable[..., TrialRecord]


def dying(epoch: int) -> Callable[..., None]:
    def report(at: int, rows: list[dict[str, Any]], decided: bool) -> None:
        if at == epoch:
            raise RuntimeError("died")

    return report


@pytest.mark.parametrize(
    ("options", "trial", "named"),
    [
        ({}, {"seed": 2}, "belongs to trial"),
        ({"beta": 2.0}, {}, "belongs to trial"),
        ({}, {"protocol": {"fosc_threshold": 2.5}}, "belongs to protocol"),
    ],
)
def test_the_checkpoint_of_something_else_is_refused(
    make_cell: Callable[..., Cell],
    run: Runner,
    comparable: Callable[[TrialRecord], dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: dict[str, Any],
    trial: dict[str, Any],
    named: str,
) -> None:
    with pytest.raises(RuntimeError, match="died"):
        run(make_cell(), report=dying(3))
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(tmp_path / "trial" / RESUME, other)
    undisturbed = run(make_cell(**options), folder="undisturbed", **trial)
    found = run(make_cell(**options), folder="other", **trial)
    assert comparable(found) == comparable(undisturbed)
    assert f"{named}" in capsys.readouterr().out


def mirrored(dataset: Dataset) -> Dataset:
    train = dataset.train
    return dataclasses.replace(dataset, train=dataclasses.replace(train, images=train.images.flip(-1)))


def test_a_trial_is_not_continued_on_other_data(
    make_cell: Callable[..., Cell],
    run: Runner,
    load: Callable[[Cell], Dataset],
    comparable: Callable[[TrialRecord], dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = fingerprint(load(make_cell()))
    with pytest.raises(RuntimeError, match="died"):
        run(make_cell(), report=dying(3))
    undisturbed = run(make_cell(), folder="undisturbed", change=mirrored)
    record = run(make_cell(), change=mirrored)
    assert f"{RESUME} belongs to data {first}; the trial starts again from its first epoch" in capsys.readouterr().out
    assert comparable(record) == comparable(undisturbed)
    assert comparable(record)["checkpoints"] != comparable(run(make_cell(), folder="first"))["checkpoints"]
    assert {part["data"] for part in record.took_part} == {record.provenance["data"]}
    assert record.provenance["data"] == fingerprint(mirrored(load(make_cell()))) != first


def test_a_checkpoint_of_a_version_that_did_not_name_its_data_is_continued(
    make_cell: Callable[..., Cell],
    run: Runner,
    comparable: Callable[[TrialRecord], dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = run(make_cell(), folder="whole")
    with pytest.raises(RuntimeError, match="died"):
        run(make_cell(), report=dying(3))
    store = Store(str(tmp_path / "trial"))
    content = store.read_sealed(RESUME)
    assert content is not None
    checkpoint = torch.load(io.BytesIO(content), weights_only=True)
    del checkpoint["owner"]["data"]
    for part in checkpoint["progress"]["took_part"]:
        del part["data"]
    older = io.BytesIO()
    torch.save(checkpoint, older)
    store.write_sealed(RESUME, older.getvalue())
    record = run(make_cell())
    assert "starts again" not in capsys.readouterr().out
    assert comparable(record) == comparable(whole)
    assert ["data" in part for part in record.took_part] == [False, True]


def test_ranks_with_different_images_end_the_trial(
    make_cell: Callable[..., Cell], load: Callable[[Cell], Dataset], tmp_path: Path
) -> None:
    class Follower(Ranks):
        def from_leader(self, value: Any) -> Any:
            return "another" if isinstance(value, str) else value

    around = TrialContext("test", Store(str(tmp_path)), Follower(), lambda *_: None, "none")
    with pytest.raises(ValueError, match=r"the images of rank 0 \(fingerprint \w{16}\) are not those of rank 0"):
        run_trial(Trial(cell=make_cell(), seed=1), ProtocolOptions(**tiny.VERDICT), lambda: load(make_cell()), around)


def test_every_attempt_is_counted_and_the_work_that_was_lost(
    make_cell: Callable[..., Cell], run: Runner, tmp_path: Path
) -> None:
    for _ in range(3):  # The first report is before the first checkpoint.
        with pytest.raises(RuntimeError, match="died"):
            run(make_cell(), report=dying(1))
    file = tmp_path / "trial" / ATTEMPTS
    stored = json.loads(file.read_text())
    assert stored["number"] == 3
    del stored["sha256"]  # Files of earlier versions have no checksum.
    file.write_text(json.dumps({**stored, "device_seconds": 100.0}))
    record = run(make_cell())
    assert record.attempts == 4
    assert record.lost_device_seconds == 100.0
    assert record.device_seconds > 100.0
    assert not file.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is damaged"),
        ("[1]", "is damaged"),
        ('{"number": "x", "device_seconds": 1}', "is damaged"),
        ("null", "is damaged"),
        ("[" * 100_000, "is damaged"),
        ('{"number": 7, "device_seconds": NaN}', "is damaged"),
        ('{"number": 7, "device_seconds": 1e999}', "is damaged"),
        ('{"number": 7, "device_seconds": -5e9}', "is damaged"),
        ('{"number": 1e999, "device_seconds": 1}', "is damaged"),
        (f'{{"number": 7, "device_seconds": 1, "sha256": "{"0" * 64}"}}', "is damaged"),
        ('{"number": 7, "device_seconds": 1e9, "trial": "another-0"}', "belongs to trial another-0"),
    ],
)
def test_a_damaged_or_foreign_count_of_attempts_is_said_and_stops_no_training(
    make_cell: Callable[..., Cell],
    run: Runner,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    said: str,
) -> None:
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / ATTEMPTS).write_text(content)
    record = run(make_cell(epochs=1), report=lambda *_: None)
    assert (record.attempts, record.lost_device_seconds) == (1, 0)
    assert f"{ATTEMPTS} {said}; attempts before the last checkpoint are not counted" in capsys.readouterr().out


@pytest.mark.parametrize("name", [RECORD, CRASH])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda record, other: other.to_json(), "belongs to trial"),
        (lambda record, other: record.model_copy(update={"sweep": "other"}).to_json(), "of sweep other"),
        (
            lambda record, other: record.model_copy(
                update={"protocol": {**record.protocol, "fosc_threshold": 2.5}}
            ).to_json(),
            "belongs to another protocol",
        ),
        (lambda record, other: record.to_json().replace(b'"epochs_run":', b'"epochs_run":1'), "checksum"),
        (lambda record, other: record.to_json()[:300], "JSON"),
    ],
)
def test_a_damaged_or_foreign_record_ends_no_trial_and_costs_no_checkpoint(
    make_cell: Callable[..., Cell],
    run: Runner,
    tmp_path: Path,
    change: Callable[[TrialRecord, TrialRecord], bytes],
    reason: str,
    name: str,
) -> None:
    cell = make_cell(epochs=3)
    record, other = run(cell, folder="whole"), run(cell, folder="other", seed=2)
    with pytest.raises(RuntimeError, match="died"):
        run(cell, report=dying(2))
    (tmp_path / "trial" / name).write_bytes(change(record, other))
    with pytest.raises(ValueError, match=reason):
        run(cell)
    assert (tmp_path / "trial" / RESUME).exists()


def test_a_record_names_the_code_of_all_attempts(
    make_cell: Callable[..., Cell], run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError, match="died"):
        run(make_cell(), report=dying(3))
    monkeypatch.setattr("core.engine.provenance.source_tree", lambda: "another tree")
    record = run(make_cell())
    assert [part["core"] == "another tree" for part in record.took_part] == [False, True]
    assert record.provenance["core"] == "another tree"
    assert record.provenance["data"]


def test_the_fingerprint_sees_one_pixel_a_label_and_the_split() -> None:
    def dataset(pixel: int = 0, label: int = 0, order: int = 1) -> Dataset:
        images = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
        images[0, 0, 0, 0] = pixel
        labels = torch.tensor([label, 1, 2, 3])
        halves = [ImageSet(images[:2], labels[:2]), ImageSet(images[2:], labels[2:])][::order]
        return Dataset(halves[0], halves[1], ImageSet(images, labels))

    same = fingerprint(dataset())
    assert fingerprint(dataset()) == same
    changed = [dataset(pixel=1), dataset(label=5), dataset(order=-1)]
    assert len({same, *map(fingerprint, changed)}) == 4


def write_record(tmp_path: Path, record: TrialRecord, name: str = RECORD, **changes: Any) -> bytes:
    """Another process stores a record of the trial."""
    content = record.model_copy(update={"device_seconds": 12345.0, **changes}).to_json()
    (tmp_path / "trial" / name).write_bytes(content)
    return content


def test_a_finished_record_of_another_process_is_never_replaced(
    make_cell: Callable[..., Cell], run: Runner, tmp_path: Path
) -> None:
    """Two processes train a trial if its driver was replaced while a worker was cut off."""
    first = run(make_cell(), folder="other")

    def report(epoch: int, rows: object, decided: bool) -> None:
        write_record(tmp_path, first)

    found = run(make_cell(), report=report)
    assert found.device_seconds == 12345.0
    assert (tmp_path / "trial" / RECORD).read_bytes() == found.to_json()
    assert not list((tmp_path / "trial").glob("*.pt"))


def test_a_record_that_appears_in_the_last_moment_is_kept_too(
    make_cell: Callable[..., Cell], run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It appears after this process has looked for one."""
    first, to_json = run(make_cell(), folder="other"), TrialRecord.to_json

    def last_step(mine: TrialRecord) -> bytes:
        monkeypatch.setattr(TrialRecord, "to_json", to_json)
        write_record(tmp_path, first)
        return mine.to_json()

    monkeypatch.setattr(TrialRecord, "to_json", last_step)
    found = run(make_cell())
    assert found.device_seconds == 12345.0
    assert (tmp_path / "trial" / RECORD).read_bytes() == found.to_json()


@pytest.mark.parametrize("name", [CRASH, RECORD])
def test_a_crash_is_no_result_and_gives_way_to_one(
    make_cell: Callable[..., Cell],
    run: Runner,
    tmp_path: Path,
    comparable: Callable[[TrialRecord], dict[str, Any]],
    name: str,
) -> None:
    """A driver takes a slow worker for a dead one, and the worker ends its trial.

    Earlier versions stored a crash under the name of a result.
    """
    first = run(make_cell(), folder="other")

    def report(epoch: int, rows: object, decided: bool) -> None:
        write_record(tmp_path, first, name, verdict=censor("crashed: it is slow"))

    found = run(make_cell(), report=report)
    assert comparable(found) == comparable(first)
    assert (tmp_path / "trial" / RECORD).read_bytes() == found.to_json()
    assert run(make_cell()) == found, "a crash beside it means nothing"


def test_a_result_is_created_and_nothing_is_replaced_or_deleted_for_it(
    make_cell: Callable[..., Cell], run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role that may not replace or delete records suffices, also beside a crash."""
    changed: list[tuple[str, str]] = []

    def noted(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def noting(self: Folder, path: str, *content: bytes) -> Any:
            changed.append((name, path))
            return change(self, path, *content)

        return noting

    first = run(make_cell(epochs=1), folder="other")
    for name in ("write", "create", "delete"):
        monkeypatch.setattr(Folder, name, noted(name, getattr(Folder, name)))

    def report(epoch: int, rows: object, decided: bool) -> None:
        write_record(tmp_path, first, CRASH, verdict=censor("crashed: it is slow"))

    run(make_cell(epochs=1), report=report)
    assert [change for change, path in changed if path == RECORD] == ["create"]
    assert CRASH not in [path for _, path in changed]


def test_a_crash_that_is_no_crash_is_refused(make_cell: Callable[..., Cell], run: Runner, tmp_path: Path) -> None:
    cell = make_cell(epochs=1)
    finished = run(cell)
    (tmp_path / "trial" / RECORD).rename(tmp_path / "trial" / CRASH)
    assert (tmp_path / "trial" / CRASH).read_bytes() == finished.to_json()
    with pytest.raises(ValueError, match=r"crash\.json is not the record of a crash"):
        run(cell)


def test_a_trial_whose_record_was_deleted_is_trained_again(
    make_cell: Callable[..., Cell], run: Runner, tmp_path: Path, comparable: Callable[[TrialRecord], dict[str, Any]]
) -> None:
    first = run(make_cell())
    (tmp_path / "trial" / RECORD).unlink()
    again = run(make_cell())
    assert comparable(again) == comparable(first)
    assert (tmp_path / "trial" / RECORD).read_bytes() == again.to_json()
