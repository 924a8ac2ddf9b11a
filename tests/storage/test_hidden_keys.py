"""The keys in a driver's environment while Ray Tune must not see them. No server is asked."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from core.storage import s3
from core.storage.address import parse_s3
from core.storage.hidden_keys import HiddenKeys
from core.storage.s3 import Bucket

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "name-of-the-environment", "AWS_SECRET_ACCESS_KEY": "secret-of-the-environment"}
PROFILE = "[default]\naws_access_key_id = name-of-the-profile\naws_secret_access_key = secret-of-the-profile\n"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An environment with keys, on a machine that also has a profile with others."""
    (tmp_path / "credentials").write_text(PROFILE)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    s3._client.cache_clear()
    yield monkeypatch
    s3._client.cache_clear()


def signer(client: Any) -> str:
    """The name of the key with which a client of boto3 signs."""
    name: str = client._request_signer._credentials.access_key
    return name


def of_new_bucket() -> str:
    return signer(Bucket(parse_s3("s3://bucket/prefix?region=us-east-1"))._client)


def test_the_environment_lacks_them_and_new_buckets_and_other_libraries_still_have_them(
    environment: pytest.MonkeyPatch,
) -> None:
    with HiddenKeys() as keys:
        keys.hide()
        keys.hide()
        assert not ENVIRONMENT.keys() & os.environ.keys()
        assert of_new_bucket() == "name-of-the-environment"
        assert signer(boto3.client("s3", region_name="us-east-1")) == "name-of-the-environment"
        keys.show()
        assert {name: os.environ[name] for name in ENVIRONMENT} == ENVIRONMENT
        keys.hide()
    assert {name: os.environ[name] for name in ENVIRONMENT} == ENVIRONMENT
    assert of_new_bucket() == "name-of-the-environment"
    assert signer(boto3.client("s3", region_name="us-east-1")) == "name-of-the-environment"


def test_a_pickle_has_no_key(environment: pytest.MonkeyPatch) -> None:
    """Tune pickles its callbacks, of which one has these keys, into a file that trials can read."""
    with HiddenKeys() as keys:
        keys.hide()
        assert b"-of-the-environment" not in pickle.dumps(keys)


def test_without_the_name_of_a_key_buckets_look_elsewhere_as_boto3_does(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_ACCESS_KEY_ID", "")
    with HiddenKeys() as keys:
        keys.hide()
        assert "AWS_SECRET_ACCESS_KEY" not in os.environ
        assert of_new_bucket() == "name-of-the-profile"
    assert os.environ["AWS_ACCESS_KEY_ID"] == ""
