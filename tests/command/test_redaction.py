"""No secret is in an error, whatever form the address has that contains it."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.command.exit_codes import run_job
from core.command.request import read_request
from core.redaction import masked, without_secrets
from core.storage.address import parse_s3
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
        elif "://" in address:
            parse_s3(address)
        raise ValueError(f"{option} {getattr(request.run, option[2:].replace('-', '_'))}: cannot be reached")

    assert run_job(job) == 2
    printed = "".join(capfd.readouterr())
    assert "error:" in printed
    assert "Kq7" not in printed
    assert "7qK" not in printed


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
