"""Servers as fixtures; a test that needs a program that isn't there is skipped and says which package has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.daemon import MissingProgramError
from tests.servers.mlflow_server import MlflowServer
from tests.servers.object_store import ObjectStore
from tests.servers.postgres import Postgres


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """An S3 server for all tests: take a bucket of your own, and let it run when you are done."""
    try:
        store = ObjectStore(tmp_path_factory.mktemp("s3"))
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    with store:
        yield store


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of the test's own, with databases ``mlflow`` and ``mlflow_auth``."""
    try:
        database = Postgres()
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    with database:
        yield database


@pytest.fixture
def mlflow_server(postgres: Postgres, tmp_path: Path) -> Iterator[MlflowServer]:
    """An MLflow server on PostgreSQL that asks for its user's name and password."""
    try:
        server = MlflowServer(tmp_path, postgres.uri("mlflow"), users=postgres.uri("mlflow_auth"))
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    with server:
        yield server
