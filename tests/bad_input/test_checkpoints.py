"""Damaged and hostile checkpoints. A trial starts again with the same result, and an evaluation names the file."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.checkpoints.checkpoint import load_checkpoint
from core.config import Cell, ProtocolOptions, Trial
from core.data.load import load_dataset
from core.engine.filenames import RESUME
from core.engine.ranks import Ranks
from core.engine.trial import run_trial
from core.engine.trial_context import Cadence, TrialContext
from core.records import TrialRecord
from core.storage import Store
from jobs.evaluate import main
from tests import tiny
from tests.bad_input.harness import assert_refused, cases, run
from tests.bad_input.strategies import damaged

CELL = Cell.from_flat(tiny.CELL)
PROTOCOL = ProtocolOptions(**tiny.VERDICT)
DATASET = load_dataset(CELL.data, Path())


class Stopped(Exception):  # noqa: N818 - what a kill does, not an error
    """Raised to interrupt a trial."""


def train(folder: Path, stop_after: int | None = None) -> TrialRecord:
    def report(epoch: int, *_: object) -> None:
        if epoch == stop_after:
            raise Stopped

    around = TrialContext("s", Store(str(folder)), Ranks(), report, "abc", Cadence(report_s=0, checkpoint_s=0))
    record = run_trial(Trial(cell=CELL, seed=3), PROTOCOL, lambda: DATASET, around)
    assert record is not None
    return record


class Trained(NamedTuple):
    """The record of an undisturbed trial, and the sealed checkpoint of an interrupted trial."""

    folder: Path
    record: TrialRecord
    resume: bytes


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    whole, broken = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("broken")
    record = train(whole)
    with pytest.raises(Stopped):
        train(broken, stop_after=2)
    return Trained(whole, record, (broken / RESUME).read_bytes())


def sealed(content: bytes) -> bytes:
    return hashlib.sha256(content).digest() + content


def assert_same(record: TrialRecord, expected: TrialRecord) -> None:
    assert record.checkpoints == expected.checkpoints
    assert record.verdict == expected.verdict
    assert len(record.trace) == len(expected.trace)


def test_an_undamaged_checkpoint_is_used(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / RESUME).write_bytes(trained.resume)
    record = train(tmp_path)
    assert record.attempts == 2
    assert_same(record, trained.record)


@pytest.mark.slow
@cases(10)
@given(data=st.data(), with_seal=st.booleans())
def test_a_damaged_checkpoint_costs_time_and_nothing_else(
    data: st.DataObject, with_seal: bool, trained: Trained, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The checksum is valid (other version, edited file) or invalid (disk error)."""
    folder = tmp_path_factory.mktemp("trial")
    whole = trained.resume[32:] if with_seal else trained.resume
    content = data.draw(damaged(whole))
    (folder / RESUME).write_bytes(sealed(content) if with_seal else content)
    record = train(folder)
    if with_seal:  # With a valid checksum, numbers may have been edited.
        assert (record.epochs_run, len(record.trace)) == (3, 3)
    else:
        assert_same(record, trained.record)
    assert not (folder / RESUME).exists()


class Runs:
    """A pickle that runs a command when it is read."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.trace),)


def hostile(trace: Path, form: str) -> bytes:
    content = {"progress": Runs(trace), "parts": {}, "cell": {}, "model": {}}
    if form == "pickle":
        return pickle.dumps(content)
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=form == "zip")
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["pickle", "zip", "legacy"])
def test_no_code_in_a_checkpoint_is_run(form: str, trained: Trained, tmp_path: Path) -> None:
    trace = tmp_path / "hacked"
    content = hostile(trace, form)
    (tmp_path / RESUME).write_bytes(sealed(content))
    assert_same(train(tmp_path), trained.record)
    (tmp_path / "hostile.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"hostile\.pt is not a checkpoint"):
        load_checkpoint(Store(str(tmp_path)), "hostile.pt")
    assert not trace.exists()
    pickle.loads(content) if form == "pickle" else torch.load(io.BytesIO(content), weights_only=False)
    assert trace.exists(), "the file does what it is to do"


WRONG: dict[str, Callable[[dict[str, object]], object]] = {
    "a list": lambda stored: [stored],
    "a tensor": lambda stored: torch.zeros(3),
    "no parts": lambda stored: {"progress": stored["progress"]},
    "no model": lambda stored: {**stored, "parts": {}},
    "a text for an epoch": lambda stored: {**stored, "progress": {**stored["progress"], "epoch": "2"}},
    "an unknown state": lambda stored: {**stored, "progress": {**stored["progress"], "mood": 1}},
    "evidence of another version": lambda stored: {**stored, "progress": {**stored["progress"], "alarms": ["{}"]}},
    "another network": lambda stored: {
        **stored,
        "parts": {**stored["parts"], "model": {name: torch.zeros(2) for name in stored["parts"]["model"]}},
    },
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_whole_checkpoint_of_something_else_is_not_used(kind: str, trained: Trained, tmp_path: Path) -> None:
    stored = torch.load(io.BytesIO(trained.resume[32:]), weights_only=True)
    buffer = io.BytesIO()
    torch.save(WRONG[kind](stored), buffer)
    (tmp_path / RESUME).write_bytes(sealed(buffer.getvalue()))
    assert_same(train(tmp_path), trained.record)


@pytest.mark.slow
@cases(200)
@given(data=st.data())
def test_weights_for_an_evaluation(data: st.DataObject, trained: Trained) -> None:
    """Unreadable weights are named in the error. Readable weights are equal to those that were written."""
    file = trained.folder / "selected.pt"
    damage = trained.folder / "damaged.pt"
    damage.write_bytes(data.draw(damaged(file.read_bytes())))
    store = Store(str(trained.folder))
    expected = load_checkpoint(store, "selected.pt").model.state_dict()
    try:
        found = load_checkpoint(store, "damaged.pt").model.state_dict()
    except ValueError as error:
        if str(damage) in str(error):
            return
        raise
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_the_command_names_the_file(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.pt").mkdir()
    (tmp_path / "loop.pt").symlink_to("loop.pt")
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "cut.pt").write_bytes((trained.folder / "selected.pt").read_bytes()[:-100])
    for name in ("folder.pt", "loop.pt", "text.pt", "cut.pt", "none.pt", "none/none.pt", "cut.pt/x.pt", "x" * 300):
        assert_refused(run(main, ["--checkpoint", name]), name)
        transfer = ["--attacks", "transfer-pgd-10", "--source", name]
        assert_refused(run(main, ["--checkpoint", str(trained.folder / "selected.pt"), *transfer]), name)
    for name in ("/", "s3://", "ftp://host/x.pt", "file:///none"):
        assert_refused(run(main, ["--checkpoint", name]))
