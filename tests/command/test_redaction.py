"""No secret is in an error, whatever form the address has that contains it."""

from __future__ import annotations

import io
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from core.command.exit_codes import print_error, run_job
from core.command.request import read_request
from core.config.default_paths import data_root, storage_root
from core.redaction import masked, without_secrets
from core.storage import Store, UnreachableError, s3
from core.storage.address import parse_s3
from core.storage.s3_errors import Problem
from core.sweep import await_servers
from core.tracking.address import absolute_uri
from jobs.sweep_trades import PRESETS

FORMS = [
    "http://u:{}@host:5000/p",
    "http:/u:{}@host",
    "http:u:{}@host",
    "http:///u:{}@host",
    "https://{}@host",
    "HTTPS://u:{}@[::1]:5000",
    "http://host/?token={}",
    "http://host?a=b&token={}#x",
    "http://host/#{}=1",
    "http://u:{}@host:port",
    "postgresql://u:{}@host/db",
    "s3://key:{}@bucket/p",
    "s3://bucket/p?secret={}",
    "s3://bucket/p?endpoint=http://u:{}@host",
    "s3://bucket/p?endpoint=http://host/?k={}",
    "u:{}@host:1",
    "sqlite://u:{}@host/db",
    "sqlite:///file.db?password={}",
    "http://u%3A{}%40h:9",
    "s3:/key:{}@bucket/p",
    "key:{}@bucket/p",
]
SECRETS = st.text(string.ascii_letters + string.digits + "@:/?#%&='\"!*+-_.", min_size=1, max_size=12).map(
    lambda text: f"Kq7{text}7qK"
)
"""Passwords that hold marks with a meaning in addresses, also where these had to be escaped."""


def parts(secret: str) -> list[str]:
    """What of a secret must not be seen: its beginning and its end."""
    return [secret[:3], secret[-3:]]


@given(st.sampled_from(FORMS), SECRETS)
def test_an_address_is_masked(form: str, secret: str) -> None:
    shown = masked(form.format(secret))
    assert not any(part in shown for part in parts(secret)), shown


@given(st.sampled_from(FORMS), SECRETS, st.sampled_from(["{}", "cannot reach '{}': refused; try again", "({}), then"]))
def test_an_address_within_a_text_is_masked(form: str, secret: str, text: str) -> None:
    shown = without_secrets(text.format(form.format(secret)))
    assert not any(part in shown for part in parts(secret)), shown


@pytest.mark.parametrize("form", [*FORMS, "{}@host:1", "{}@host"])
@pytest.mark.parametrize("option", ["--mlflow-uri", "--storage", "--address", "--data-dir"])
def test_a_refused_address_is_not_repeated(form: str, option: str, capfd: pytest.CaptureFixture[str]) -> None:
    def job() -> int:
        address = form.format("Kq7secret7qK")
        request = read_request([option, address, "--name", "x"], PRESETS, "")
        if option == "--mlflow-uri":
            absolute_uri(address)
        raise ValueError(f"{option} {getattr(request.run, option[2:].replace('-', '_'))}: cannot be reached")

    assert run_job(job) == 2
    printed = "".join(capfd.readouterr())
    assert "error:" in printed
    assert "Kq7" not in printed
    assert "7qK" not in printed


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", [storage_root, data_root, absolute_uri])
def test_an_address_with_a_secret_is_never_a_place(form: str, place: Callable[[str], str]) -> None:
    """Nor is it taken for a folder or a database, whose name every command would print."""
    with pytest.raises(ValueError, match=r".") as refused:
        place(form.format("Kq7se/cret7qK"))
    assert not any(part in without_secrets(str(refused.value)) for part in ("Kq7", "7qK"))


@pytest.mark.parametrize("folder", ["results", "me@work/results", "/tmp/a:b@c/results", "./a:b@c", "a:b", "~x:1/é"])
def test_a_folder_may_have_these_names(folder: str) -> None:
    assert storage_root(folder) == str(Path(folder).resolve())


@pytest.fixture
def new_client() -> Iterator[None]:
    """A process keeps the client that its first environment has given it."""
    s3._client.cache_clear()
    yield
    s3._client.cache_clear()


@pytest.mark.usefixtures("new_client")
@pytest.mark.parametrize(
    "endpoint", ["http://u:Kq7secret7qK@127.0.0.1:9", "http://u%3AKq7secret7qK%40127.0.0.1:9", "http://h/?k=Kq77qK"]
)
def test_a_secret_in_the_endpoint_of_the_environment_is_refused(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(ValueError, match="AWS_ENDPOINT_URL") as refused:
        Store("s3://bucket/results")
    assert not any(part in str(refused.value) for part in ("Kq7", "7qK"))


@pytest.mark.usefixtures("new_client")
@pytest.mark.parametrize("endpoint", ["localhost:9000", "u:Kq7secret7qK@localhost:9000"])
def test_an_endpoint_without_http_is_named_with_what_is_allowed(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(ValueError, match=r"^AWS_ENDPOINT_URL .*must be http\(s\)://HOST\[:PORT\]$") as refused:
        Store("s3://bucket/results")
    assert not any(part in str(refused.value) for part in ("Kq7", "7qK"))


@pytest.mark.usefixtures("new_client")
def test_a_wrong_region_is_no_wrong_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "a b")
    with pytest.raises(ValueError, match=r"^AWS_REGION or AWS_DEFAULT_REGION.*'a b'"):
        Store("s3://bucket/results")


def test_warnings_hide_the_secret_of_an_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(s3, "_warned_at", -s3.WARN_EVERY_S)
    bucket = s3.Bucket(parse_s3("s3://bucket?endpoint=http://127.0.0.1:9"))
    bucket._warn(Problem("cannot reach http://u:Kq7secret7qK@h:9", True), 3.0)
    assert "http://***@h:9" in caplog.text
    assert "Kq7" not in caplog.text


def test_waiting_for_a_server_hides_the_secret_of_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: str) -> None:
        raise UnreachableError("http://u:Kq7secret7qK@h:9 does not answer")

    monkeypatch.setattr(await_servers, "prepare_store", away)
    monkeypatch.setattr(await_servers, "RETRY_S", 0.01)
    console = Console(file=io.StringIO(), width=200)
    with pytest.raises(UnreachableError):
        await_servers.await_servers("/somewhere", "x", "http://h:9", 0.05, console)
    assert isinstance(console.file, io.StringIO)
    assert "http://***@h:9 does not answer; waiting" in console.file.getvalue()


def test_an_error_stays_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    print_error(ValueError("no column :key: in [table]"))
    assert "no column :key: in [table]" in capfd.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "--beta 0..6@10then1@50: must be numbers",
        "my_method.py@3f2a9c: was changed",
        "--storage /home/me@work/results: is full",
        "sqlite:////home/me@work/mlflow.db is locked",
        "s3://bucket/results?endpoint=http://127.0.0.1:9000&region=eu: away",
        "--address 10.0.0.1:6379: no Ray cluster answers there",
        "issue: is it true? a = b",
    ],
)
def test_a_text_without_a_secret_stays(text: str) -> None:
    assert without_secrets(text) == text
