"""``sweep.json``, ``record.json`` and ``evaluation.json`` after a crash, a disk error, a version change or an edit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from rich.table import Table

from analysis.report.context import report_context
from analysis.report.tables.cells_table import main_table
from core.config import Cell, SeededCell, Sweep, Trial
from core.ledger.ledger import EVALUATION, DamagedRecordError, Ledger, unfinished
from core.records import Evidence, TrialRecord
from core.storage import Store
from core.sweep.trial_plan import fixed_trials
from jobs import evaluate, report, sweep_trades
from tests.analysis_report.conftest import synthetic_trial
from tests.bad_input.harness import JARGON, assert_refused, cases, run, snapshot
from tests.bad_input.strategies import changed_json, damaged

pytestmark = pytest.mark.usefixtures("blank_pictures")
NAME = "mine"
NO_MLFLOW = ["--mlflow-uri", "sqlite:///none.db"]


class Stored(NamedTuple):
    """A folder with a finished sweep."""

    storage: Path
    ledger: Ledger
    sweep: Sweep
    trials: list[Trial]

    def file(self, trial: int, name: str = "record.json") -> Path:
        return self.storage / NAME / "trials" / self.trials[trial].key / name


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Two cells with two seeds each, one of them evaluated."""
    storage = tmp_path_factory.mktemp("results")
    cells = [Cell.from_flat({"beta": beta, "epochs": 12}) for beta in (1, 6)]
    records = [synthetic_trial(cell, seed, sweep=NAME, epochs=12) for seed in (0, 1) for cell in cells]
    entries = tuple(SeededCell(cell=cell, seeds=2) for cell in cells)
    sweep = Sweep(name=NAME, preset="quick", entries=entries, protocol=records[0].protocol)
    ledger = Ledger(Store(str(storage)).child(NAME), NAME)
    ledger.enter(sweep)
    for record in records:
        ledger.write(record)
    ledger.write_evaluations(records[0].model_copy(update={"evaluations": _evidence(records[0])}))
    return Stored(storage, ledger, sweep, fixed_trials(sweep))


def _evidence(record: TrialRecord) -> tuple[Evidence, ...]:
    assert record.verdict is not None
    return record.verdict.evidence[-1:]


def outcome(call: object) -> object:
    """The result of a call, or its error message, which must be readable for users."""
    try:
        return call()  # type: ignore[operator]
    except ValidationError:  # It is a ValueError, but its message is not for users.
        raise
    except ValueError as error:
        message = str(error)
        assert not [word for word in JARGON if word.lower() in message.lower()], message
        assert len(message) < 3000
        return error


def any_damage(file: Path) -> st.SearchStrategy[bytes]:
    content = file.read_bytes()
    return damaged(content) | changed_json(content)


@pytest.mark.slow
@cases(400)
@given(data=st.data())
def test_the_description(data: st.DataObject, stored: Stored) -> None:
    """An unreadable description is named in the error. A readable one describes the sweep, perhaps another one."""
    file = stored.storage / NAME / "sweep.json"
    whole = file.read_bytes()
    file.write_bytes(data.draw(any_damage(file)))
    try:
        described, protocol = outcome(lambda: stored.ledger.describe(stored.sweep)), outcome(stored.ledger.protocol)
        if isinstance(described, ValueError):
            assert "sweep.json is damaged" in str(described) or "exists and differs" in str(described)
        if isinstance(protocol, ValueError):
            assert "sweep.json is damaged" in str(protocol) or "another version" in str(protocol)
        # Another driver reads them: finished trials do not need the description, unless it is that of another sweep.
        found = outcome(Ledger(stored.ledger.store, NAME).records)
        if isinstance(found, ValueError):
            assert "protocol " in str(found) or "it belongs to sweep" in str(found)
        else:
            assert isinstance(found, dict)
            assert len(found) == 4
    finally:
        file.write_bytes(whole)


def test_a_description_of_an_older_version_is_continued(stored: Stored) -> None:
    file = stored.storage / NAME / "sweep.json"
    whole = file.read_bytes()
    now = json.loads(whole)
    added = ("pin_groups", "rerun", "counterparts", "plans", "sha256")
    file.write_text(json.dumps({name: value for name, value in now.items() if name not in added}))
    assert stored.ledger.describe(stored.sweep) == {name: now[name] for name in now if name not in added[-2:]}
    file.write_bytes(whole)


@pytest.mark.slow
@cases(500)
@given(data=st.data(), trial=st.integers(0, 3))
def test_one_record(data: st.DataObject, trial: int, stored: Stored) -> None:
    """A record is read or named in the error. Without it, only its trial is trained again, and no other is lost."""
    file = stored.file(trial)
    others = [t.key for t in stored.trials if t.key != stored.trials[trial].key]
    whole = file.read_bytes()
    file.write_bytes(data.draw(any_damage(file)))
    try:
        found = outcome(stored.ledger.records)
        if isinstance(found, ValueError):
            assert isinstance(found, DamagedRecordError) or "schema_version" in str(found)
            assert str(file) in str(found)
            assert not any(key in str(found) for key in others)
            file.unlink()
            left = stored.ledger.records()
            assert sorted(left) == sorted(others)
            assert [t.key for t in unfinished(stored.trials, left)] == [stored.trials[trial].key]
        else:
            assert isinstance(found, dict)
            assert sorted(found) == sorted(t.key for t in stored.trials)
    finally:
        file.write_bytes(whole)


@pytest.mark.slow
@cases(200)
@given(data=st.data())
def test_evaluations(data: st.DataObject, stored: Stored) -> None:
    """Damaged evaluations never invalidate the trial's record."""
    file = stored.file(0, EVALUATION)
    whole = file.read_bytes()
    file.write_bytes(data.draw(any_damage(file)))
    try:
        found = outcome(stored.ledger.records)
        if isinstance(found, ValueError):
            assert str(file) in str(found)
            file.unlink()
            assert len(stored.ledger.records()) == 4
    finally:
        file.write_bytes(whole)


def test_all_damaged_files_are_named_at_once_by_every_command(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = tmp_path / "results"
    shutil.copytree(stored.storage, storage)
    files = [
        storage / NAME / "trials" / stored.trials[0].key / EVALUATION,
        storage / NAME / "trials" / stored.trials[1].key / "record.json",
        storage / NAME / "trials" / stored.trials[3].key / "record.json",
    ]
    files[2].rename(files[2].with_name("crash.json"))
    files[2] = files[2].with_name("crash.json")
    for file in files:
        file.write_bytes(file.read_bytes()[:-1])
    before = snapshot(tmp_path)
    commands = {
        report.main: ["--sweep", NAME, *NO_MLFLOW],
        evaluate.main: ["--sweep", NAME, *NO_MLFLOW],
        sweep_trades.main: ["--seeds-from", NAME, "--name", "again", "--dry-run"],
    }
    for main, args in commands.items():
        ended = run(main, [*args, "--storage", str(storage)])
        assert_refused(ended)
        assert all(str(file) in ended.message for file in files)
        assert "trained again" in ended.message
        assert "evaluated again" in ended.message
    assert snapshot(tmp_path) == before
    for file in files:
        file.unlink()
    assert run(report.main, ["--sweep", NAME, *NO_MLFLOW, "--storage", str(storage)]).code == 0


def test_a_record_in_another_trials_folder_is_not_counted_twice(stored: Stored, tmp_path: Path) -> None:
    shutil.copytree(stored.storage, tmp_path / "results")
    trials = tmp_path / "results" / NAME / "trials"
    shutil.copytree(trials / stored.trials[0].key, trials / "copy-of-it")
    with pytest.raises(DamagedRecordError, match=f"copy-of-it/record.json .it belongs to trial {stored.trials[0].key}"):
        Ledger(Store(str(tmp_path / "results")).child(NAME), NAME).records()


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


@cases(150)
@given(data=st.data())
def test_a_record_that_is_taken_is_one_that_can_be_counted(data: st.DataObject, stored: Stored) -> None:
    """A record with values of another version or of an edit, if it is accepted, can be counted or gives an error."""
    records = list(stored.ledger.records().values())
    content = data.draw(changed_json(records[2].model_dump_json().encode()))
    try:
        changed = TrialRecord.model_validate_json(content)
    except ValidationError:
        return
    counted = outcome(lambda: main_table(report_context("s", [*records[:2], changed, *records[3:]]).cells))
    assert isinstance(counted, (Table, ValueError))


@pytest.mark.slow
@cases(3)
@given(data=st.data())
def test_a_record_that_is_taken_is_one_that_can_be_reported(
    data: st.DataObject, stored: Stored, elsewhere: Path
) -> None:
    """With a record of another version or of an edit, the report is written or explains the problem."""
    file = stored.file(2)
    whole = file.read_bytes()
    file.write_bytes(data.draw(changed_json(whole)))
    try:
        ended = run(
            report.main,
            ["--sweep", NAME, *NO_MLFLOW, "--storage", str(stored.storage), "--output", str(elsewhere / "r.html")],
        )
        if ended.code:
            assert_refused(ended)
    finally:
        file.write_bytes(whole)
