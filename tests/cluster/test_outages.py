"""Sweeps whose storage is away for longer than every limit, and whose driver dies: they end without a person."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.command.exit_codes import TEMPORARY
from core.storage import lease
from tests.cluster.conftest import JOB, LIMIT_S, TINY, Sweep
from tests.servers import ObjectStore
from tests.servers.daemon import MissingProgramError
from tests.timeless import timeless

pytestmark = [pytest.mark.cluster, pytest.mark.server, pytest.mark.slow]
SCRIPT = Path(__file__).parents[2] / "jobs" / "deploy" / "keep-running.sh"
OPTIONS = ("--name", "tiny", "--seeds", "2", "--epochs", "40")


class InBucket:
    """The sweep ``tiny`` in a bucket of a server of its own, which a test may stop."""

    def __init__(self, sweep: Sweep, server: ObjectStore) -> None:
        self.sweep, self.server = sweep, server
        self.bucket = server.make_bucket()
        sweep.environment |= server.environment
        self.options = (*OPTIONS, "--storage", f"s3://{self.bucket}/results")

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        return self.sweep.start(*self.options, *options)

    def keep_running(self, *options: str) -> subprocess.Popen[bytes]:
        """Start the sweep under the script that starts it again."""
        with self.sweep.log.open("ab") as log:
            return subprocess.Popen(
                ["bash", str(SCRIPT), sys.executable, str(JOB), *TINY, *self.options, *options],
                cwd=self.sweep.folder,
                env={**self.sweep.environment, "UNMASK_PAUSE_S": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def drivers(self) -> list[psutil.Process]:
        return [process for process in self.sweep.processes(str(JOB)) if "python" in process.name()]

    def records(self) -> dict[str, dict[str, Any]]:
        """The stored records by key."""
        client = self.server.client()
        listed = client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        keys = [entry["Key"] for entry in listed if entry["Key"].endswith("/record.json")]
        return {
            key.split("/")[-2]: json.loads(client.get_object(Bucket=self.bucket, Key=key)["Body"].read())
            for key in keys
        }

    def await_checkpoint(self) -> None:
        client = self.server.client()

        def stored() -> bool:
            listed = client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
            return any(entry["Key"].endswith("/resume.ckpt") for entry in listed)

        self.sweep.wait_for(stored)


@pytest.fixture
def in_bucket(local_sweep: Sweep, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InBucket]:
    try:
        server = ObjectStore(tmp_path_factory.mktemp("s3"))
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    with server:
        yield InBucket(local_sweep, server)


def test_trials_wait_for_a_storage_that_is_away_and_go_on(in_bucket: InBucket, undisturbed: Sweep) -> None:
    process = in_bucket.start()
    in_bucket.await_checkpoint()
    in_bucket.server.kill()
    in_bucket.sweep.wait_for(lambda: "The storage does not answer" in in_bucket.sweep.text)
    time.sleep(lease.STALE_S - lease.SUSPEND_S + 5)
    assert process.poll() is None
    in_bucket.server.start()
    assert process.wait(LIMIT_S) == 0, in_bucket.sweep.text
    assert "The storage answers again, and the sweep continues" in in_bucket.sweep.text
    records = in_bucket.records()
    assert {key: record["attempts"] for key, record in records.items()} == dict.fromkeys(records, 1)
    assert {key: timeless(record) for key, record in records.items()} == undisturbed.records("tiny")


def test_a_driver_that_was_killed_or_gave_up_waiting_is_started_again(in_bucket: InBucket, undisturbed: Sweep) -> None:
    """The script starts the driver after a kill, and again and again while the storage is away."""
    script = in_bucket.keep_running("--wait-for-servers", "0.05")
    in_bucket.await_checkpoint()
    for driver in in_bucket.drivers():
        driver.kill()
    in_bucket.sweep.wait_for(lambda: "exit code 137; the command starts again" in in_bucket.sweep.text)
    in_bucket.sweep.wait_for(lambda: in_bucket.sweep.text.count(" at a time") == 2)
    in_bucket.server.kill()
    gave_up = f"exit code {TEMPORARY}; the command starts again"
    in_bucket.sweep.wait_for(lambda: in_bucket.sweep.text.count(gave_up) >= 2 or script.poll() is not None)
    in_bucket.server.start()
    assert script.wait(LIMIT_S) == 0, in_bucket.sweep.text
    assert in_bucket.sweep.text.count(gave_up) >= 2, "the storage came back before the driver gave up"
    assert {key: timeless(record) for key, record in in_bucket.records().items()} == undisturbed.records("tiny")
