"""Behaviour of a store when a real S3 server rejects, stalls, dies or returns wrong data."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError
from botocore.model import OperationModel

from core.checkpoints.checkpoint import locate
from core.config.default_paths import storage_root
from core.storage import Store, StoreError, s3
from tests.servers import ObjectStore
from tests.servers.proxy import DAMAGE_REQUEST, FORGET, OTHER_ETAG, PASS, proxy

pytestmark = pytest.mark.server
SECRET = ObjectStore.secret_key


@pytest.fixture
def bucket(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A new bucket, whose endpoint and keys are in the environment."""
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    s3._client.cache_clear()
    yield object_store.make_bucket()
    s3._client.cache_clear()


@pytest.mark.parametrize(
    "environment, says",
    [
        ({"AWS_ACCESS_KEY_ID": "nobody"}, r"does not accept the access key \(InvalidAccessKeyId\)"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, r"does not accept the secret key \(SignatureDoesNotMatch\)"),
        ({"AWS_ENDPOINT_URL": "https://127.0.0.1:{port}"}, "no secure connection to https"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "no answer from http://127.0.0.1:9"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no access key was found; set AWS_ACCESS_KEY_ID"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_keys(
    bucket: str,
    object_store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    says: str,
) -> None:
    monkeypatch.setattr(s3, "PROBE_S", 2.0)
    monkeypatch.setenv("HOME", "/nonexistent")
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(port=object_store.port))
    with pytest.raises(ValueError, match=says) as error:
        Store(f"s3://{bucket}/results").probe()
    assert str(error.value).startswith("--storage s3://")
    assert "\n" not in str(error.value)
    assert SECRET not in str(error.value)


def test_a_missing_bucket_and_missing_rights_are_told_apart(bucket: str, object_store: ObjectStore) -> None:
    with pytest.raises(ValueError, match="cannot write it: there is no bucket missing-one at http://"):
        Store("s3://missing-one/results").probe()
    foreign = object_store.client()
    foreign.create_bucket(Bucket=f"{bucket}-half")
    object_store.add_user("half", "half-key", "half-secret")
    statement = {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/half"]}}
    resources = [f"arn:aws:s3:::{bucket}-half", f"arn:aws:s3:::{bucket}-half/*"]

    def allow(*actions: str) -> None:
        policy = {"Version": "2012-10-17", "Statement": [{**statement, "Action": actions, "Resource": resources}]}
        foreign.put_bucket_policy(Bucket=f"{bucket}-half", Policy=json.dumps(policy))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "half-key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "half-secret")
        s3._client.cache_clear()
        store = Store(f"s3://{bucket}-half/results")
        for actions, refused in (
            ((), "write"),
            (("s3:PutObject", "s3:GetObject"), "list"),
            (("s3:PutObject", "s3:GetObject", "s3:ListBucket"), "delete"),
        ):
            if actions:
                allow(*actions)
            with pytest.raises(ValueError, match=f"cannot {refused} it: .* does not allow this with these keys"):
                store.probe()
        allow("s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:DeleteObject")
        store.probe()


@pytest.mark.parametrize("versions", ["Suspended", "Enabled"])
def test_a_server_that_replaces_what_should_only_be_created_is_named(
    versions: str, bucket: str, object_store: ObjectStore
) -> None:
    client = object_store.client()
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": versions})
    client.put_object(Bucket=bucket, Key="there", Body=b"first")
    try:
        client.put_object(Bucket=bucket, Key="there", Body=b"second", IfNoneMatch="*")
        replaces = True
    except ClientError:
        replaces = False
    said: list[str] = []
    Store(f"s3://{bucket}/results").probe(said.append)
    assert [line.startswith(f"Note: --storage s3://{bucket}/results") for line in said] == [True] * replaces
    assert not replaces or versions == "Enabled"


def test_a_wrong_clock_is_named(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "botocore.auth.get_current_datetime",
        lambda *_, **__: datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1),
    )
    monkeypatch.setattr(s3, "PROBE_S", 1.0)
    with pytest.raises(ValueError, match=r"this machine's clock .* and that of http://.* differ too much"):
        Store(f"s3://{bucket}/results").probe()


def test_a_killed_server_that_comes_back_costs_only_delay(bucket: str, object_store: ObjectStore) -> None:
    store = Store(f"s3://{bucket}/results")
    store.write("before", b"1")
    object_store.kill()
    back = threading.Timer(2.0, object_store.start)
    back.start()
    try:
        started = time.monotonic()
        store.write("state", b"2")
        assert time.monotonic() - started > 1.5
    finally:
        back.join()
    assert (store.read("before"), store.read("state")) == (b"1", b"2")


def test_a_stalled_server_fails_in_bounded_time(
    bucket: str, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "ANSWER_S", 0.5)
    store = Store(f"s3://{bucket}/results").with_retry_limit(1.5)
    store.write("state", b"1")
    object_store.pause()
    try:
        started = time.monotonic()
        for use in (lambda: store.write("state", b"2"), lambda: store.read("state"), store.names):
            with pytest.raises(StoreError, match=r"does not answer \(tried for \d s\)"):
                use()
        assert time.monotonic() - started < 3 * (1.5 + 0.5 + 2)
    finally:
        object_store.resume()
    assert store.with_retry_limit(30).read("state") in (b"1", b"2")


def test_a_server_that_says_stored_and_did_not_is_found_out(bucket: str, object_store: ObjectStore) -> None:
    with proxy(object_store, lambda method, _: FORGET if method == "PUT" else PASS) as endpoint:
        store = Store(f"s3://{bucket}/results?endpoint={endpoint}").with_retry_limit(2.0)
        with pytest.raises(StoreError, match=r"cannot write it: .* (did not keep what was written|NoSuchKey)"):
            store.write("state", b"content")
    assert Store(f"s3://{bucket}/results").read("state") is None


def test_what_the_network_changes_is_sent_again(bucket: str, object_store: ObjectStore) -> None:
    seen: list[str] = []

    def damage_first(method: str, path: str) -> str:
        seen.append(path)
        return DAMAGE_REQUEST if len(seen) == 1 else PASS

    with proxy(object_store, damage_first) as endpoint:
        Store(f"s3://{bucket}/results?endpoint={endpoint}").write("state", bytes(1000))
    assert len(seen) == 2
    assert Store(f"s3://{bucket}/results").read("state") == bytes(1000)


def test_an_upload_is_read_back_where_the_etag_is_no_md5(bucket: str, object_store: ObjectStore) -> None:
    """As with encryption by KMS."""
    with proxy(object_store, lambda method, _: OTHER_ETAG if method == "PUT" else PASS) as endpoint:
        Store(f"s3://{bucket}/results?endpoint={endpoint}").write("state", b"content")
    assert Store(f"s3://{bucket}/results").read("state") == b"content"


@pytest.mark.parametrize("done", ["delete", "write", "both"])
@pytest.mark.parametrize("before", ["GetObject 1", "GetObject 2", "PutObject 2", "PutObject 2 and GetObject 3"])
def test_two_probes_at_once_both_pass_where_the_etag_is_no_md5(
    bucket: str, object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch, before: str, done: str
) -> None:
    """As with encryption by KMS, where an upload is read back, and the other probe may have changed it by then.

    The other probe deletes the object, writes it, or does both, right before this one's requests that are named.
    """
    monkeypatch.setattr(s3, "FIRST_DELAY_S", 0.01)
    root, other = f"s3://{bucket}/results", object_store.client()
    probe = {"Bucket": bucket, "Key": "results/probe"}
    seen: Counter[str] = Counter()

    def other_probe(model: OperationModel, **_: object) -> None:
        seen[model.name] += 1
        if f"{model.name} {seen[model.name]}" in before:
            if done != "write":
                other.delete_object(**probe)
            if done != "delete":
                other.put_object(**probe, Body=b"other")

    def encrypted(parsed: dict[str, str], **_: object) -> None:
        parsed["ETag"] = '"other"'

    store = Store(Store(root).root)  # names its server, and shares the client of all stores that name it
    events = store._files._client.meta.events  # type: ignore[attr-defined]
    events.register("before-call.s3", other_probe)
    events.register("after-call.s3.PutObject", encrypted)
    said: list[str] = []
    store.probe(said.append)
    assert said == []
    assert seen["PutObject"] >= 2
    assert all(request in [f"{n} {i}" for n in seen for i in range(seen[n] + 1)] for request in before.split(" and "))
    assert Store(root).names() == []


@pytest.mark.parametrize(
    "given, says",
    [
        ("s3://key:hidden@bucket/p", "must not contain access keys"),
        ("s3://key:hid/den@bucket/p", "must not contain access keys"),
        ("s3://", "not the name of a bucket"),
        ("s3://b", "not the name of a bucket"),
        ("gs://bucket/p", "gs:// is not a store"),
        ("file:///tmp", "file:// is not a store"),
        ("s3://bucket/../p", "not a valid name inside a store"),
        ("s3://bucket//p", "not a valid name inside a store"),
        ("s3://bucket/p?endpoint=localhost:9000", r"must be http\(s\)://HOST"),
        ("s3://bucket/p?endpoint=http://me:hidden@host", "must not contain a user name or password"),
        ("s3://bucket/p?endpoint=http://host:99999", "must be http"),
        ("s3://bucket/p?access_key=hidden", "unknown option access_key"),
        ("s3://bucket/p?endpoint", "unknown option|must be http"),
    ],
)
def test_addresses_that_cannot_work_are_refused_and_never_repeat_a_key(given: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        storage_root(given)
    assert "hid" not in str(error.value)


def test_a_file_in_a_bucket_is_located_with_its_endpoint(bucket: str, object_store: ObjectStore) -> None:
    Store(f"s3://{bucket}/results/trials").write("last.pt", b"weights")
    store, file = locate(f"s3://{bucket}/results/trials/last.pt?endpoint={object_store.endpoint}")
    assert store.read(file) == b"weights"
