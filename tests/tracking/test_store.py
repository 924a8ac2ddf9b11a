from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from core.temporary import TemporaryError
from core.tracking import TrackedSweep, prepare_store
from core.tracking.store import check_store


def test_artifacts_lie_beside_the_database_wherever_the_process_runs(store: str, tmp_path: Path) -> None:
    experiment = MlflowClient(tracking_uri=store).get_experiment_by_name("unmask")
    assert experiment is not None
    assert experiment.artifact_location == (tmp_path / "mlartifacts").resolve().as_uri()


def test_preparing_twice_changes_nothing(store: str, tmp_path: Path) -> None:
    before = (tmp_path / "mlflow.db").read_bytes()
    assert prepare_store(store) == store
    assert (tmp_path / "mlflow.db").read_bytes() == before


@pytest.mark.slow
def test_four_drivers_at_once_make_one_working_store_without_chatter(tmp_path: Path) -> None:
    code = f"from core.tracking import prepare_store; prepare_store('sqlite:///{tmp_path}/mlflow.db')"
    drivers = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(4)
    ]
    assert [driver.communicate()[0].decode() for driver in drivers] == [""] * 4
    assert [driver.returncode for driver in drivers] == [0] * 4
    assert MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_experiment_by_name("unmask") is not None
    assert sorted(file.name for file in tmp_path.iterdir()) == [".mlflow.db.lock", "mlflow.db"]


def test_an_older_schema_is_upgraded(store: str, tmp_path: Path) -> None:
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config, _get_latest_schema_revision

    old = tmp_path / "old.db"
    old_uri = f"sqlite:///{old}"
    old.write_bytes((tmp_path / "mlflow.db").read_bytes())
    command.downgrade(_get_alembic_config(old_uri), "-1")

    def revision() -> str:
        return sqlite3.connect(old).execute("select version_num from alembic_version").fetchone()[0]

    earlier = revision()
    assert earlier != _get_latest_schema_revision()
    dump = [*sqlite3.connect(old).iterdump()]
    (tmp_path / f"old.db.before-{earlier}").write_text("an earlier copy")
    prepare_store(old_uri)
    assert revision() == _get_latest_schema_revision()
    assert [*sqlite3.connect(tmp_path / f"old.db.before-{earlier}.2").iterdump()] == dump
    assert (tmp_path / f"old.db.before-{earlier}").read_text() == "an earlier copy"
    before = sorted(tmp_path.iterdir())
    prepare_store(old_uri)
    assert sorted(tmp_path.iterdir()) == before, "a database of this version is not copied"


def test_a_database_of_a_newer_mlflow_is_refused_and_not_copied(store: str, tmp_path: Path) -> None:
    database = tmp_path / "newer.db"
    prepare_store(f"sqlite:///{database}")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("update alembic_version set version_num = 'ffffffffffff'")
        connection.commit()
    before = sorted(path.name for path in tmp_path.iterdir())
    script = f"from core.tracking import prepare_store; prepare_store('sqlite:///{database}')"
    for _ in range(2):  # MLflow has opened the database in this process already
        refused = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert re.search("a newer MLflow than .* has written this database; install that version", refused.stderr)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_database_that_cannot_be_copied_is_not_upgraded(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

    command.downgrade(_get_alembic_config(store), "-1")
    monkeypatch.setattr(Path, "replace", full)
    before = (tmp_path / "mlflow.db").read_bytes()
    with pytest.raises(ValueError, match="No space left on device"):
        prepare_store(store)
    assert (tmp_path / "mlflow.db").read_bytes() == before


def test_a_database_of_a_driver_that_was_killed_in_a_write_is_repaired(store: str, tmp_path: Path) -> None:
    """Its journal is left, and only a connection that may write can roll back."""
    database = tmp_path / "mlflow.db"
    code = (
        "import os, sqlite3\n"
        f"writer = sqlite3.connect({str(database)!r}, isolation_level=None)\n"
        "writer.execute('pragma cache_size = 1')\n"
        "writer.execute('begin')\n"
        "for i in range(2000):\n"
        "    writer.execute('insert into tags values (?, ?, ?)', (str(i), 'x' * 500, 'none'))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    with sqlite3.connect(database) as connection:
        connection.execute("pragma foreign_keys = off")
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert (tmp_path / "mlflow.db-journal").exists()
    prepare_store(store)
    assert not (tmp_path / "mlflow.db-journal").exists()


def test_a_database_without_tables_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    prepare_store(f"sqlite:///{tmp_path}/mlflow.db")
    assert [file.name for file in tmp_path.iterdir() if "before" in file.name] == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("not a database at all, just some text that is long enough\n" * 20)
    with pytest.raises(ValueError, match=r"--mlflow-uri .*notes.db is not a usable MLflow store"):
        prepare_store(f"sqlite:///{tmp_path}/notes.db")


def test_a_copied_database_is_refused_because_its_artifacts_are_elsewhere(store: str, tmp_path: Path) -> None:
    original = Path(store.removeprefix("sqlite:///"))
    (tmp_path / "copy").mkdir()
    shutil.copy(original, tmp_path / "copy" / "mlflow.db")
    for open_store in (prepare_store, check_store):
        with pytest.raises(ValueError, match=rf"was copied or moved: its artifacts belong to {original.parent}/mlart"):
            open_store(f"sqlite:///{tmp_path}/copy/mlflow.db")


def test_a_server_that_does_not_answer_is_refused_quickly() -> None:
    with pytest.raises(TemporaryError, match=r"--mlflow-uri http://127\.0\.0\.1:9: no MLflow server answers"):
        prepare_store("http://127.0.0.1:9")


def test_a_deleted_experiment_is_refused(store: str) -> None:
    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("unmask")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    with pytest.raises(ValueError, match="was deleted"):
        prepare_store(store)


def test_reading_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no database"):
        TrackedSweep(f"sqlite:///{tmp_path}/mlflow.db", "demo")
    assert list(tmp_path.iterdir()) == []
