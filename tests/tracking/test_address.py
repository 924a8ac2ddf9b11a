from __future__ import annotations

from pathlib import Path

import pytest

from core.redaction import masked
from core.tracking.address import absolute_uri


def test_relative_database_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_uri("sqlite:///mlflow.db") == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    assert absolute_uri(f"sqlite:///{tmp_path}/a b.db") == f"sqlite:///{tmp_path.resolve()}/a b.db"


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:5000", "https://mlflow.example/prefix/", "https://hub.example:8000/user/me%40work/proxy"]
)
def test_server_address_loses_only_its_trailing_slash(uri: str) -> None:
    assert absolute_uri(uri) == uri.rstrip("/")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "./mlruns",
        "mlflow.db",
        "file:///data/mlruns",
        "databricks",
        "postgresql://db/mlflow",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "sqlite:///no/such/folder/mlflow.db",
        "sqlite:////",
        "http://",
        "http://host:port",
        "http://host:5000/?a=b",
    ],
)
def test_a_wrong_address_is_refused_with_option_value_and_what_is_allowed(uri: str) -> None:
    with pytest.raises(ValueError, match="--mlflow-uri") as caught:
        absolute_uri(uri)
    assert repr(uri if uri.startswith("sqlite:") else masked(uri)) in str(caught.value)
    assert "allowed are sqlite:///PATH" in str(caught.value)


@pytest.mark.parametrize("uri", ["http://me:hunter2@host:5000", "postgresql://me:hunter2@db/x", "https://hunter2@h"])
def test_a_password_in_the_address_is_refused_and_never_repeated(uri: str) -> None:
    with pytest.raises(ValueError, match="--mlflow-uri") as caught:
        absolute_uri(uri)
    assert "hunter2" not in str(caught.value)
