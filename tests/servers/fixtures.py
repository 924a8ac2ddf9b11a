"""Fixtures of servers. A test without the needed program is skipped, with the name of the Debian package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.daemon import MissingProgramError
from tests.servers.mlflow_server import MlflowServer
from tests.servers.object_store import ObjectStore
from tests.servers.postgres import Postgres
from tests.servers.shared_ray import SharedRay


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """An S3 server shared by all tests. A test must create its own bucket and must not stop the server."""
    try:
        store = ObjectStore(tmp_path_factory.mktemp("s3"))
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    with store:
        yield store


@pytest.fixture(scope="session")
def role_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """The same as `object_store`, with roles that users can assume."""
    try:
        store = ObjectStore(tmp_path_factory.mktemp("s3"), roles=True)
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    with store:
        yield store


def running_postgres() -> Iterator[Postgres]:
    """A PostgreSQL server with databases ``mlflow`` and ``mlflow_auth``, for a fixture of any scope."""
    try:
        database = Postgres()
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    with database:
        yield database


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this test."""
    yield from running_postgres()


@pytest.fixture
def mlflow_server(postgres: Postgres, tmp_path: Path) -> Iterator[MlflowServer]:
    """An MLflow server on PostgreSQL that requires a user name and password."""
    try:
        server = MlflowServer(tmp_path, postgres.uri("mlflow"), users=postgres.uri("mlflow_auth"))
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    with server:
        yield server


@pytest.fixture(scope="session")
def running_mlflow(empty_store: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """The server of `shared_mlflow`."""
    folder = tmp_path_factory.mktemp("mlflow")
    (folder / "server.db").write_bytes(empty_store)
    with MlflowServer(folder, f"sqlite:///{folder}/server.db") as server:
        yield server


@pytest.fixture
def shared_mlflow(running_mlflow: MlflowServer) -> Iterator[MlflowServer]:
    """An MLflow server without authentication, whose start takes seconds of a processor, shared by all tests.

    It uses sqlite, which suffices for one client. For each test it is without the project's experiment. A test must
    leave it running.
    """
    from mlflow import MlflowClient

    from core.tracking.store import EXPERIMENT

    yield running_mlflow
    client = MlflowClient(running_mlflow.uri)
    if used := client.get_experiment_by_name(EXPERIMENT):
        client.rename_experiment(used.experiment_id, f"used {used.experiment_id}")


@pytest.fixture(scope="session")
def shared_ray() -> Iterator[SharedRay]:
    """A Ray cluster shared by all tests. A test must not kill its processes and must let its own drivers end."""
    with SharedRay() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An MLflow database with a schema, whose creation takes over a second, and without the project's experiment."""
    from mlflow import MlflowClient  # These imports are slow, and every test run imports this file.

    from core.tracking import prepare_store
    from core.tracking.store import EXPERIMENT

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    client = MlflowClient(prepare_store(f"sqlite:///{file}"))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    client.rename_experiment(experiment.experiment_id, "unused")
    return file.read_bytes()
