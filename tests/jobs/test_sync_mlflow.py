"""The command that writes MLflow's copy of a sweep again from the storage."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from core.config import Cell, ProtocolOptions, SeededCell, Sweep
from core.config.naming import TrialNames
from core.ledger.driver_lock import driver_lock
from core.ledger.ledger import Ledger
from core.records import Evidence, Measurement, TrialRecord
from core.storage import Store
from core.sweep.live_state import LiveState
from core.sweep.trial_plan import fixed_trials
from core.tracking import open_tracker
from core.tracking.encode import progress_metrics
from jobs.sync_mlflow import main
from tests.analysis_report.conftest import synthetic_trial

Capture = pytest.CaptureFixture[str]
CELLS = [Cell.from_flat({"beta": beta, "epochs": 12}) for beta in (1, 6)]
NAMES = TrialNames([cell.flat() for cell in CELLS])
PROTOCOL = ProtocolOptions()


class Stored:
    """Sweep ``mine``: seeds 0 and 1 of one cell have ended, and seed 0 of another; its seed 1 was interrupted."""

    def __init__(self, folder: Path) -> None:
        self.storage, self.uri = folder / "results", f"sqlite:///{folder}/mlflow.db"
        self.ledger = Ledger(Store(str(self.storage)).child("mine"), "mine")
        entries = tuple(SeededCell(cell=cell, seeds=2) for cell in CELLS)
        sweep = Sweep(name="mine", preset="none", entries=entries, protocol=PROTOCOL)
        self.ledger.enter(sweep)
        trials = fixed_trials(sweep)
        self.records = [synthetic_trial(t.cell, t.seed, sweep="mine", epochs=12) for t in trials[:3]]
        live = LiveState(sweep, {}, trials, price=2.0)
        with open_tracker(self.uri, self.ledger, PROTOCOL, NAMES, [], training=True) as tracker:
            for trial in trials:
                live.start(trial, trial.key, 1)
                tracker.start_trial(trial, 1)
            for record in self.records:
                self.ledger.write(record)
                live.finish(record)
                tracker.finish_trial(record)
            tracker.interrupt_trial(trials[3].key)
            progress = live.progress().model_copy(update={"state": "interrupted"})
            self.ledger.write_progress(progress)
            tracker.set_progress(progress_metrics(progress.stopped()))
            tracker.close("KILLED")

    def sync(self, *options: str, code: int = 0, uri: str = "") -> None:
        args = ["--sweep", "mine", "--storage", str(self.storage), "--mlflow-uri", uri or self.uri, *options]
        assert main(args) == code

    def content(self) -> dict[str, Any]:
        """The content of each MLflow run, except ids and times."""
        client = MlflowClient(self.uri)
        experiment = client.get_experiment_by_name("unmask")
        assert experiment is not None
        found = {}
        for run in client.search_runs([experiment.experiment_id]):
            tags = {name: value for name, value in run.data.tags.items() if name not in ("mlflow.parentRunId", "host")}
            history = {
                name: sorted((m.step, str(m.value)) for m in client.get_metric_history(run.info.run_id, name))
                for name in run.data.metrics
                if not name.startswith("progress/")
            }
            folder = Path(run.info.artifact_uri.removeprefix("file://"))
            files = {path.name: path.read_text() for path in folder.rglob("*")}
            key = run.data.tags.get("trial_key", "sweep")
            assert key not in found
            found[key] = (run.info.status, run.data.params, tags, run.data.metrics, history, files)
        return found

    def tables(self) -> dict[str, list[Any]]:
        """The tables of MLflow's database that contain runs."""
        with sqlite3.connect(self.uri.removeprefix("sqlite:///")) as database:
            names = ("runs", "params", "tags", "metrics", "latest_metrics", "experiments")
            return {name: sorted(database.execute(f"select * from {name}"), key=str) for name in names}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return Stored(tmp_path_factory.mktemp("made"))


@pytest.fixture
def stored(made: Stored) -> Stored:
    """An MLflow store that the sweep's driver has written and the command has completed once."""
    made.sync("--rewrite")
    return made


def test_what_a_driver_wrote_is_written_again_after_mlflow_is_deleted(tmp_path: Path, capsys: Capture) -> None:
    stored = Stored(tmp_path)
    of_driver = stored.content()
    # A second empty store is needed, because MLflow keeps the deleted file of the first one open in this process.
    (tmp_path / "new").mkdir()
    stored.uri = f"sqlite:///{tmp_path}/new/mlflow.db"
    stored.sync()
    assert "3 of 3 finished trials written to sqlite" in capsys.readouterr().out
    again = stored.content()
    assert {record.key for record in stored.records} | {"sweep"} == again.keys()
    for record in stored.records:
        assert again[record.key] == of_driver[record.key]
        _, _, _, _, history, files = again[record.key]
        assert [step for step, _ in history["val/fosc"]] == list(range(1, record.epochs_run + 1))
        assert TrialRecord.model_validate_json(files["record.json"]) == record
    status, _, tags, metrics, _, _ = again["sweep"]
    assert status == of_driver["sweep"][0] == "KILLED"
    assert metrics == of_driver["sweep"][3]
    assert len([line for line in tags["mlflow.note.content"].splitlines() if line.startswith(("| 1 ", "| 6 "))]) == 2


@pytest.mark.slow
def test_a_second_time_changes_nothing(stored: Stored, capsys: Capture) -> None:
    before = stored.tables()
    stored.sync()
    assert "0 of 3 finished trials written" in capsys.readouterr().out
    assert stored.tables() == before


def test_deleted_epochs_and_files_are_found_and_named(stored: Stored, capsys: Capture) -> None:
    expected = stored.content()
    client = MlflowClient(stored.uri)
    experiment = client.get_experiment_by_name("unmask")
    assert experiment is not None
    runs = {run.data.tags.get("trial_key"): run.info for run in client.search_runs([experiment.experiment_id])}
    without_epoch, without_files = stored.records[0].key, stored.records[1].key
    with sqlite3.connect(stored.uri.removeprefix("sqlite:///")) as database:
        lost = "delete from metrics where run_uuid = ? and step = 1"
        assert database.execute(lost, [runs[without_epoch].run_id]).rowcount > 5
    for name in ("record.json", "verdict.json"):
        (Path(runs[without_files].artifact_uri.removeprefix("file://")) / name).unlink()
    stored.sync()
    said = capsys.readouterr().out
    assert "2 of 3 finished trials written" in said
    assert f"Trial {without_epoch}: its run lacks 1 epoch, the first one 1; it was written again." in said
    assert f"Trial {without_files}: its run lacks record.json, verdict.json; it was written again." in said
    assert stored.content() == expected


def test_what_is_missing_or_old_is_written_and_nothing_twice(stored: Stored, capsys: Capture) -> None:
    expected = stored.content()
    client = MlflowClient(stored.uri)
    whole, gone, old = (stored.records[i].key for i in range(3))
    runs = {
        run.data.tags.get("trial_key"): run.info
        for run in client.search_runs([client.get_experiment_by_name("unmask").experiment_id])
    }
    client.delete_run(runs[gone].run_id)
    client.update_run(runs[old].run_id, status="RUNNING")
    client.set_tag(runs[old].run_id, "outcome", "running")
    shutil.rmtree(runs[old].artifact_uri.removeprefix("file://"))
    client.create_run(runs[whole].experiment_id, tags={"role": "trial", "sweep": "mine", "trial_key": "x-9"})
    client.set_tag(runs[None].run_id, "mlflow.note.content", "")
    stored.sync()
    assert "2 of 3 finished trials written" in capsys.readouterr().out
    found = stored.content()
    assert found.pop("x-9")[0] == "KILLED", "no driver is at work"
    assert found == expected


def test_a_later_evaluation_is_written_with_its_table(stored: Stored, capsys: Capture) -> None:
    measured = tuple(
        Measurement(attack=attack, accuracy=accuracy, images=60, split="test")
        for attack, accuracy in {"clean": 0.9, "pgd-10": 0.5, "autoattack": 0.25}.items()
    )
    evidence = Evidence(checkpoint="last", epoch=12, measurements=measured)
    record = stored.records[0].model_copy(update={"evaluations": (evidence,)})
    stored.ledger.write_evaluations(record)
    stored.sync()
    assert "1 of 3 finished trials written" in capsys.readouterr().out
    found = stored.content()
    assert found[record.key][3]["evaluation/last/autoattack_gap"] == 0.25
    assert "evaluation.json" in found[record.key][5]
    assert "## last, autoattack" in found["sweep"][5]["evaluation.md"]
    assert "| 0.2500 | 0.2500 |" in found["sweep"][5]["evaluation.md"], "AutoAttack and the gap"
    stored.ledger.trial_store(record.key).delete("evaluation.json")


def test_it_waits_for_no_driver_and_no_server(stored: Stored, capsys: Capture) -> None:
    with driver_lock(stored.ledger.store, "mine"):
        stored.sync(code=4)
    assert "is running this sweep" in capsys.readouterr().err
    stored.sync(uri="http://127.0.0.1:9", code=4)
    assert "--mlflow-uri http://127.0.0.1:9: no MLflow server answers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--sweep is missing"),
        (("--sweep", "../x"), "--sweep ../x"),
        (("--sweep", "other"), "--sweep other: there is no such sweep in"),
        (("--sweep", "mine", "--mlflow-uri", "databricks"), "--mlflow-uri 'databricks' is not a store"),
    ],
)
def test_wrong_input_is_one_line(stored: Stored, capsys: Capture, options: tuple[str, ...], message: str) -> None:
    assert main(["--storage", str(stored.storage), *options]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""
