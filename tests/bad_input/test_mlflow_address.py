"""Addresses without an MLflow server are rejected in seconds, in one line, with a hint if one is known."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.temporary import TemporaryError
from core.tracking import TrackedSweep, prepare_store
from jobs import report, sweep_trades, sync_mlflow
from tests.bad_input.harness import JARGON, assert_refused, cases, run, snapshot
from tests.bad_input.strategies import damaged
from tests.bad_input.test_stored_sweep import NAME, Stored, stored

__all__ = ["stored"]

ANSWERS: dict[str, tuple[int, str, bytes]] = {
    "401": (401, "text/plain", b"You are not authenticated"),
    "403": (403, "application/json", b'{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}'),
    "404": (404, "text/html", b"<html><h1>Not Found</h1></html>"),
    "500": (500, "text/plain", b""),
    "503": (503, "text/html", b"<html>upstream\nconnect error</html>" * 100),
    "a web page": (200, "text/html", b"<!doctype html><title>Welcome to nginx!</title>"),
    "nothing": (200, "application/json", b""),
    "a list": (200, "application/json", b"[]"),
    "a number": (200, "application/json", b"7"),
    "other json": (200, "application/json", b'{"experiment": 5, "experiments": {"a": 1}, "runs": "x"}'),
    "bytes": (200, "application/json", bytes(range(256))),
    "half an answer": (200, "application/json", b'{"experiment": {"experiment_id": "1", "name": "unm'),
    "a redirect to itself": (302, "text/plain", b""),
}


pytestmark = pytest.mark.usefixtures("blank_pictures")
AWAY = ("500", "503")
"""Answers of a server that may work later, for which a sweep waits."""
NO_WAIT = ("--wait-for-servers", "0")


class Answering(BaseHTTPRequestHandler):
    """Answers every request with the fixed response of the server."""

    def _answer(self) -> None:
        status, kind, body = self.server.answer  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", self.path)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Print no log."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def address(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def assert_clear(message: str, *named: str) -> None:
    assert not [word for word in JARGON if word.lower() in message.lower()], message
    assert len(message) < 1200, message
    for text in named:
        assert text in message


@pytest.mark.slow
@pytest.mark.parametrize("kind", ANSWERS)
def test_a_server_that_is_none(
    kind: str, server: ThreadingHTTPServer, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = ANSWERS[kind]  # type: ignore[attr-defined]
    monkeypatch.chdir(tmp_path)
    for call in (prepare_store, lambda uri: TrackedSweep(uri, "quick")):
        with pytest.raises(ValueError) as refused:
            call(address(server))
        assert_clear(str(refused.value), address(server))
        if kind in ("401", "403"):
            assert "MLFLOW_TRACKING_USERNAME" in str(refused.value)
    code = 4 if kind in AWAY else 2
    waiting = NO_WAIT if kind in AWAY else ()
    ended = run(sweep_trades.main, ["--mlflow-uri", address(server), *waiting])
    assert_refused(ended, "--mlflow-uri", code=code)
    assert "Starting Ray" not in ended.out
    assert "quick/trials" not in str(snapshot(tmp_path)), "nothing was trained"
    sweep = ["--sweep", NAME, "--storage", str(stored.storage), "--mlflow-uri", address(server)]
    ended = run(sync_mlflow.main, sweep)
    assert_refused(ended, "--mlflow-uri", code=code)
    if kind not in ("401", "500", "a web page", "half an answer"):
        return  # A report takes seconds, and its connection to MLflow is `TrackedSweep`, which is tested above.
    ended = run(report.main, sweep)  # The report does not need MLflow.
    assert ended.code == 0
    (line,) = [line for line in ended.out.splitlines() if "MLflow" in line]
    assert_clear(line, "Not logged to MLflow: ", address(server))


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.tracking.store.ANSWER_SECONDS", "1")
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), Answering, bind_and_activate=True
    ) as deaf:  # It accepts connections and never answers.
        started = time.monotonic()
        with pytest.raises(TemporaryError, match="no MLflow server answers") as refused:
            prepare_store(address(deaf))
    assert_clear(str(refused.value))
    assert time.monotonic() - started < 30


NONE = (
    *("", "  ", "mlruns", "file:///tmp", "databricks", "ftp://h", "sqlite://", "sqlite:///", "sqlite:///:memory:"),
    *("sqlite:///a?b", "sqlite:////", "sqlite:///none/mlflow.db", f"sqlite:///{'x' * 300}.db"),
    *("http://", "http://:5000", "http://[::1", "http://h:99999", "http://user:secret@h:5000", "http://h/#x"),
    *("HTTP://127.0.0.1:9", "postgresql://user:secret@h/db"),
)
UNREACHABLE = ("http://127.0.0.1:9", "http://no-such-host.invalid:5000")
IMPOSSIBLE = ("http://a b:1", "http://\udcff")


@pytest.mark.parametrize(
    "uri", [*NONE, *(pytest.param(uri, marks=pytest.mark.slow) for uri in (*UNREACHABLE, *IMPOSSIBLE))]
)
def test_an_address_that_is_none(uri: str, stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = ["--sweep", NAME, "--storage", str(stored.storage)]
    for main, args in ((sweep_trades.main, NO_WAIT if uri in UNREACHABLE else ()), (sync_mlflow.main, sweep)):
        ended = run(main, [*args, f"--mlflow-uri={uri}"])
        assert_refused(ended, "--mlflow-uri", code=4 if uri in UNREACHABLE else 2)
        assert "secret" not in ended.message + ended.out
    ended = run(report.main, [*sweep, f"--mlflow-uri={uri}"])
    if uri in (*UNREACHABLE, *IMPOSSIBLE):
        assert ended.code == 0, "MLflow is not needed here"
        assert "Not logged to MLflow: --mlflow-uri" in ended.out
    else:
        assert_refused(ended, "--mlflow-uri")
        assert "secret" not in ended.message + ended.out


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    prepare_store(f"sqlite:///{path}")
    return path


@pytest.mark.slow
@cases(10)
@given(data=st.data())
def test_a_damaged_database(data: st.DataObject, database: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    damage = tmp_path_factory.mktemp("damaged") / "mlflow.db"
    damage.write_bytes(data.draw(damaged(database.read_bytes())))
    try:
        prepare_store(f"sqlite:///{damage}")
        TrackedSweep(f"sqlite:///{damage}", "quick")
    except ValueError as error:
        assert_clear(str(error), str(damage))


def test_a_database_that_is_a_text_or_a_link_in_circles(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database\n" * 100)
    (tmp_path / "loop.db").symlink_to("loop.db")
    for name in ("text.db", "loop.db"):
        with pytest.raises(ValueError, match="--mlflow-uri") as refused:
            prepare_store(f"sqlite:///{tmp_path}/{name}")
        assert_clear(str(refused.value), name)
    assert (tmp_path / "text.db").read_text().startswith("no database")
