"""The servers of other tests reject unknown users, keep their content over a kill, and leave nothing behind."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tests.servers.daemon import MissingProgramError
from tests.servers.mlflow_server import MlflowServer
from tests.servers.object_store import ObjectStore
from tests.servers.postgres import Postgres

pytestmark = [pytest.mark.server, pytest.mark.slow]


def test_objects_survive_the_gateways_kill_and_only_its_own_keys_read_them(object_store: ObjectStore) -> None:
    bucket = object_store.make_bucket()
    object_store.client().put_object(Bucket=bucket, Key="kept", Body=b"content")
    object_store.kill()
    object_store.start()
    assert object_store.client().get_object(Bucket=bucket, Key="kept")["Body"].read() == b"content"
    for keys, code in (("stranger", "any"), "InvalidAccessKeyId"), ((None, "wrong"), "SignatureDoesNotMatch"):
        with pytest.raises(ClientError, match=code):
            object_store.client(*keys).get_object(Bucket=bucket, Key="kept")


def test_a_paused_gateway_answers_later(object_store: ObjectStore) -> None:
    client = object_store.client()
    object_store.pause()
    timer = threading.Timer(1.0, object_store.resume)
    timer.start()
    try:
        before = time.monotonic()
        client.list_buckets()
        assert time.monotonic() - before > 0.8
    finally:
        timer.join()


def test_mlflow_on_postgresql_keeps_runs_over_kills_and_wants_a_password(
    mlflow_server: MlflowServer, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    client = MlflowClient(mlflow_server.uri)
    with pytest.raises(MlflowException, match="not authenticated"):
        client.create_experiment("mine")
    for name, value in mlflow_server.environment.items():
        monkeypatch.setenv(name, value)
    experiment = client.create_experiment("mine")
    run = client.create_run(experiment)
    client.log_metric(run.info.run_id, "loss", 0.5, step=3)
    mlflow_server.kill()
    postgres.kill()
    postgres.start()
    mlflow_server.start()
    assert client.get_run(run.info.run_id).data.metrics == {"loss": 0.5}
    assert postgres.query("mlflow", "select value, step from metrics") == "0.5|3"


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    before = {process.pid for process in psutil.process_iter()}
    try:
        with Postgres(("one",)) as postgres, ObjectStore(tmp_path) as store:
            postgres.stop()
            postgres.start()
            assert postgres.query("one", "select 1") == "1"
            store.stop()
            store.start()
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    assert not postgres.folder.exists()
    names = {"postgres", "radosgw", "ceph-mon", "ceph-osd"}
    left = [p for p in psutil.process_iter(["name", "cmdline"]) if p.pid not in before and p.info["name"] in names]
    mine = [
        p
        for p in left
        if str(tmp_path) in " ".join(p.info["cmdline"] or []) or str(postgres.port) in (p.info["cmdline"] or [])
    ]
    assert not mine
