"""A holder of a lease that is cut off from the store waits, and never writes after another holder has written."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from core.storage import Holder, Lease, Store, StoreError, UnreachableError, lease
from tests.servers import ObjectStore
from tests.servers.proxy import AWAY, PASS, proxy
from tests.storage.test_lease import ELSEWHERE, wait_for

REFRESH, SUSPEND, STALE, WATCH = 0.3, 1.2, 2.5, 0.1
DRIVE = """
import sys, time
from core.storage import Lease, LostLeaseError, Store, guarded_files, lease
lease.REFRESH_S, lease.SUSPEND_S, lease.STALE_S, lease.WATCH_S = {limits}
guarded_files.ATTEMPT_S, guarded_files.MAX_DELAY_S = 0.5, 0.5
name, root = sys.argv[1:]
store = Store(root)

def say(line):
    print(line, flush=True)

with Lease(store, "driver", lambda reason: say("lost: " + reason), 600, say) as held:
    say("held")
    fenced = store.guarded(held.fence.check, 600)
    own = store.guarded(held.check, 600)
    try:
        while True:
            own.write("state", name.encode())
            fenced.write("state", name.encode())
            time.sleep(0.05)
    except LostLeaseError as error:
        say("stopped: " + str(error))
"""


class Driver:
    """A process on another machine that holds the lease and writes its name without end.

    Attributes:
        lines: what it has printed.
    """

    def __init__(self, name: str, root: str) -> None:
        code = DRIVE.format(limits=f"{REFRESH}, {SUSPEND}, {STALE}, {WATCH}")
        self.process = subprocess.Popen(
            [*ELSEWHERE, sys.executable, "-c", code, name, root], stdout=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(self.process.stdout)

    def said(self, text: str) -> bool:
        return any(text in line for line in [*self.lines])

    def end(self) -> None:
        children = psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        for process in [*children, self.process]:
            process.kill()
        self.process.wait()


@pytest.fixture
def drive() -> Iterator[Callable[[str, str], Driver]]:
    started: list[Driver] = []

    def start(name: str, root: str) -> Driver:
        started.append(Driver(name, root))
        return started[-1]

    yield start
    for driver in started:
        driver.end()


class Link:
    """A connection to the object store that can be cut."""

    def __init__(self) -> None:
        self.cut = False

    def __call__(self, method: str, path: str) -> str:
        return AWAY if self.cut else PASS


@pytest.fixture
def bucket(object_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket that keeps every version of every object."""
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    bucket = object_store.make_bucket()
    object_store.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def writers(object_store: ObjectStore, bucket: str) -> list[str]:
    """The successive writers of the object ``state``, oldest first, each named once per turn."""
    client = object_store.client()
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix="sweep/state")
    versions = [entry["VersionId"] for page in pages for entry in page["Versions"]]
    names = [
        client.get_object(Bucket=bucket, Key="sweep/state", VersionId=version)["Body"].read().decode()
        for version in reversed(versions)
    ]
    return [name for name, _ in itertools.groupby(names)]


@contextmanager
def cut_off_driver(
    object_store: ObjectStore, bucket: str, drive: Callable[[str, str], Driver]
) -> Iterator[tuple[Driver, Link]]:
    """A driver that holds the lease and has written, and its connection, which has just been cut."""
    link = Link()
    with proxy(object_store, link) as endpoint:
        driver = drive("first", f"s3://{bucket}/sweep?endpoint={endpoint}")
        wait_for(lambda: driver.said("held") and Store(f"s3://{bucket}/sweep").read("state"))
        link.cut = True
        yield driver, link


def needs_servers(test: Callable[..., None]) -> Callable[..., None]:
    root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a process id namespace")
    return pytest.mark.server(pytest.mark.slow(root(test)))


@needs_servers
def test_a_driver_cut_off_for_longer_than_every_limit_goes_on_if_no_other_took_over(
    object_store: ObjectStore, bucket: str, drive: Callable[[str, str], Driver]
) -> None:
    with cut_off_driver(object_store, bucket, drive) as (first, link):
        wait_for(lambda: first.said("The storage does not answer"))
        time.sleep(2 * STALE)
        Store(f"s3://{bucket}/sweep").write("state", b"unchanged")
        link.cut = False
        wait_for(lambda: first.said("The storage answers again"))
        wait_for(lambda: Store(f"s3://{bucket}/sweep").read("state") == b"first")
        assert not first.said("lost:")


@needs_servers
@pytest.mark.parametrize("back_after", [1.8, 2.4, 2.8, 3.4, 9.0])
def test_of_a_driver_that_was_cut_off_and_another_one_exactly_one_writes(
    object_store: ObjectStore, bucket: str, drive: Callable[[str, str], Driver], back_after: float
) -> None:
    """The second driver reaches the store all the time. The first one comes back before or after it took over."""
    with cut_off_driver(object_store, bucket, drive) as (first, link):
        cut = time.monotonic()
        second = drive("second", f"s3://{bucket}/sweep")
        time.sleep(max(0.0, cut + back_after - time.monotonic()))
        link.cut = False
        wait_for(lambda: second.said("held") or second.process.poll() is not None)
        time.sleep(4 * REFRESH + 1)
        assert first.said("stopped:") == second.said("held")
    assert writers(object_store, bucket) == (["first", "second"] if second.said("held") else ["first"])
    if back_after > 2 * STALE:
        assert second.said("held")


@pytest.mark.slow
def test_a_suspended_holder_may_not_write_until_the_store_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in {"REFRESH_S": 0.05, "SUSPEND_S": 0.3, "WATCH_S": 0.05}.items():
        monkeypatch.setattr(lease, name, seconds)
    said: list[str] = []
    lost: list[str] = []
    store, folder = Store(str(tmp_path)), tmp_path / "driver"
    with Lease(store, "driver", lost.append, patience_s=60, say=said.append) as held:
        folder.rename(tmp_path / "aside")
        folder.write_text("a file, in which no lease can be refreshed")
        wait_for(lambda: said)
        with pytest.raises(UnreachableError, match="could not be refreshed"):
            store.guarded(held.check).write("record", b"impatient")
        with pytest.raises(StoreError):
            held.fence.check()
        patient = threading.Thread(target=store.guarded(held.check, 30).write, args=("record", b"patient"))
        patient.start()
        time.sleep(0.5)
        assert store.read("record") is None
        folder.unlink()
        (tmp_path / "aside").rename(folder)
        patient.join(30)
        held.fence.check()
    assert store.read("record") == b"patient"
    assert [line.partition(";")[0] for line in said] == [
        "The storage does not answer",
        "The storage answers again, and the sweep continues",
    ]
    assert lost == []


def test_a_lease_is_lost_when_the_patience_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"REFRESH_S": 0.05, "SUSPEND_S": 0.2, "WATCH_S": 0.05}.items():
        monkeypatch.setattr(lease, name, seconds)
    lost: list[str] = []
    store, folder = Store(str(tmp_path)), tmp_path / "driver"
    with Lease(store, "driver", lost.append, patience_s=0.5, say=lambda _: None):
        started = time.monotonic()
        folder.rename(tmp_path / "aside")
        folder.write_text("a file, in which no lease can be refreshed")
        wait_for(lambda: lost)
        assert time.monotonic() - started > 0.5
        folder.unlink()
        (tmp_path / "aside").rename(folder)


def test_a_process_that_takes_a_stale_lease_withdraws_if_its_holder_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder refreshes its file between the other process's look and its claim."""
    store = Store(str(tmp_path))
    monkeypatch.setattr(lease, "STALE_S", 1.0)
    monkeypatch.setattr(lease, "WATCH_S", 0.05)
    old = Holder(host="elsewhere", machine="another", pid=7, started="1", token="t").model_dump_json().encode()
    store.write("driver/00000003.json", old)
    os.utime(tmp_path / "driver" / "00000003.json", (0, 0))
    create = Store.create

    def created_late(self: Store, name: str, content: bytes) -> bool:
        store.write("driver/00000003.json", old)
        return create(self, name, content)

    monkeypatch.setattr(Store, "create", created_late)
    began = time.monotonic()
    taking = Lease(store, "driver", lambda _: None, say=lambda _: None)

    def waits(_: float) -> None:
        raise TimeoutError

    monkeypatch.setattr("core.storage.lease.time.sleep", waits)
    with pytest.raises(TimeoutError), taking:
        pass
    assert time.monotonic() - began < 1
    assert store.child("driver").names() == ["00000003.json"]
