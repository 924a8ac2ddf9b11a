"""A sweep that starts while a server is away waits for it; what is wrong is refused at once."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from rich.console import Console

from core.storage import s3
from core.sweep import await_servers as waiting
from core.sweep.await_servers import await_servers
from core.temporary import TemporaryError
from tests.servers import MlflowServer, ObjectStore
from tests.servers.proxy import AWAY, PASS, proxy

FOLDER, DATABASE, NOWHERE = "/somewhere", "sqlite:////somewhere/mlflow.db", "http://127.0.0.1:9"
"""Places of which the first two are no servers, and at the third no server listens."""


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "RETRY_S", 0.2)
    monkeypatch.setattr(s3, "PROBE_S", 0.5)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def printed(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


class Answering(BaseHTTPRequestHandler):
    """Answers every request with the status of the server."""

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Print no log."""


@pytest.fixture
def strange() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_folder_and_a_database_are_not_waited_for(console: Console) -> None:
    await_servers(FOLDER, "mine", DATABASE, 60, console)
    assert printed(console) == []


@pytest.mark.slow
@pytest.mark.parametrize("storage, uri", [(FOLDER, NOWHERE), (f"s3://bucket/results?endpoint={NOWHERE}", DATABASE)])
def test_a_server_that_stays_away_is_waited_for_until_the_limit(console: Console, storage: str, uri: str) -> None:
    began = time.monotonic()
    with pytest.raises(TemporaryError, match=NOWHERE):
        await_servers(storage, "mine", uri, 2.0, console)
    assert 2.0 <= time.monotonic() - began < 20
    (line,) = printed(console)
    assert line.endswith(" (--wait-for-servers)")
    assert "waiting for up to " in line
    assert NOWHERE in line


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_server_that_refuses_is_not_waited_for(console: Console, strange: ThreadingHTTPServer, status: int) -> None:
    strange.status = status  # type: ignore[attr-defined]
    address = f"http://127.0.0.1:{strange.server_port}"
    for storage, uri in ((FOLDER, address), (f"s3://bucket/results?endpoint={address}", DATABASE)):
        with pytest.raises(ValueError) as refused:
            await_servers(storage, "mine", uri, 600, console)
        assert not isinstance(refused.value, TemporaryError)
    assert printed(console) == []


@pytest.mark.server
@pytest.mark.slow
def test_servers_that_come_back_are_used(
    console: Console,
    object_store: ObjectStore,
    shared_mlflow: MlflowServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    bucket = object_store.make_bucket()
    away = {"storage", "mlflow"}
    with (
        proxy(object_store, lambda *_: AWAY if "storage" in away else PASS) as endpoint,
        proxy(shared_mlflow, lambda *_: AWAY if "mlflow" in away else PASS) as uri,
    ):

        def come_back() -> None:
            for number, server in enumerate(("storage", "mlflow"), start=1):
                while len(printed(console)) < number:
                    time.sleep(0.05)
                away.discard(server)

        threading.Thread(target=come_back, daemon=True).start()
        await_servers(f"s3://{bucket}/results?endpoint={endpoint}", "mine", uri, 300, console)
        first, second = printed(console)
        assert first.startswith(f"--storage s3://{bucket}/results/mine/probe:")
        assert second.startswith(f"--mlflow-uri {uri}: no MLflow server answers")
        with pytest.raises(ValueError, match="there is no bucket missing-one"):
            await_servers("s3://missing-one/results", "mine", uri, 300, console)
