"""Sweeps whose storage is away for longer than every limit, and whose driver dies: they end without a person."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.command.exit_codes import TEMPORARY
from core.storage import lease
from tests.cluster.bucket_results import BucketResults
from tests.cluster.conftest import JOB, LIMIT_S, TINY, TWO_TRIALS, Sweep
from tests.servers import ObjectStore
from tests.servers.daemon import MissingProgramError
from tests.servers.shared_ray import SharedRay
from tests.timeless import timeless
from tests.without_ray import Record

pytestmark = [pytest.mark.cluster, pytest.mark.server, pytest.mark.slow]
SCRIPT = Path(__file__).parents[2] / "jobs" / "deploy" / "keep-running.sh"


class InBucket:
    """The sweep ``tiny`` in a bucket of a server of its own, which a test may stop."""

    def __init__(self, sweep: Sweep, server: ObjectStore) -> None:
        self.sweep, self.server = sweep, server
        self.results = BucketResults(server, server.make_bucket(), "tiny")
        sweep.environment |= server.environment
        self.options = (*TWO_TRIALS, "--storage", self.results.storage)

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

    def await_checkpoint(self) -> None:
        self.sweep.wait_for(lambda: any(key.endswith("/resume.ckpt") for key in self.results.paths()))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """An S3 server of this file, whose tests stop it."""
    try:
        server = ObjectStore(tmp_path_factory.mktemp("s3"))
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    with server:
        yield server


@pytest.fixture(scope="module")
def cluster(server: ObjectStore) -> Iterator[SharedRay]:
    """A cluster whose workers have the keys of the server."""
    with SharedRay(server.environment) as cluster:
        yield cluster


@pytest.fixture
def in_bucket(local_sweep: Sweep, server: ObjectStore, cluster: SharedRay) -> InBucket:
    local_sweep.join(cluster)
    return InBucket(local_sweep, server)


def test_trials_wait_for_a_storage_that_is_away_and_go_on(in_bucket: InBucket, undisturbed: dict[str, Record]) -> None:
    process = in_bucket.start()
    in_bucket.await_checkpoint()
    in_bucket.server.kill()
    in_bucket.sweep.wait_for(lambda: "The storage does not answer" in in_bucket.sweep.text)
    time.sleep(lease.STALE_S - lease.SUSPEND_S + 5)
    assert process.poll() is None
    in_bucket.server.start()
    assert process.wait(LIMIT_S) == 0, in_bucket.sweep.text
    assert "The storage answers again, and the sweep continues" in in_bucket.sweep.text
    records = in_bucket.results.records()
    assert {key: record["attempts"] for key, record in records.items()} == dict.fromkeys(records, 1)
    assert {key: timeless(record) for key, record in records.items()} == undisturbed


def test_a_driver_that_was_killed_or_gave_up_waiting_is_started_again(
    in_bucket: InBucket, undisturbed: dict[str, Record]
) -> None:
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
    assert {key: timeless(record) for key, record in in_bucket.results.records().items()} == undisturbed


def test_wrong_keys_are_one_line_before_anything_starts(local_sweep: Sweep, object_store: ObjectStore) -> None:
    local_sweep.environment |= object_store.environment | {
        "AWS_SECRET_ACCESS_KEY": "wrong",
        "HOME": str(local_sweep.folder),
    }
    storage = f"s3://{object_store.make_bucket()}/results"
    printed = local_sweep.run("--name", "tiny", "--seeds", "1", "--epochs", "2", "--storage", storage, code=2)
    (line,) = [line for line in printed.splitlines() if "error:" in line]
    assert "does not accept the secret key" in line
    assert "Traceback" not in printed
    assert "Starting Ray" not in printed
