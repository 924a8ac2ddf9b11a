"""A lease has at most one owner at a time, for any crash of an owner on any machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from core.storage import Fence, HeldError, Holder, Lease, LostLeaseError, Store, UnreachableError, lease

REFRESH, SUSPEND, STALE = 0.4, 1.7, 2.5
HOLD = """
import sys, time
from core.storage import Lease, Store, lease
lease.REFRESH_S, lease.STALE_S, lease.SUSPEND_S, lease.WATCH_S = {refresh}, {stale}, {suspend}, 0.2
with Lease(Store(sys.argv[1]), "driver", lambda reason: print("lost:", reason, flush=True)):
    print("held", flush=True)
    time.sleep(600)
"""
ELSEWHERE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
"""A command prefix for a separate PID namespace, whose processes cannot be checked from outside."""


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.server)])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(lease, "REFRESH_S", REFRESH)
    monkeypatch.setattr(lease, "STALE_S", STALE)
    monkeypatch.setattr(lease, "SUSPEND_S", SUSPEND)
    monkeypatch.setattr(lease, "WATCH_S", 0.2)
    if request.param == "folder":
        return Store(str(tmp_path))
    server = request.getfixturevalue("object_store")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return Store(f"s3://{server.make_bucket()}/sweep")


class Others:
    """Processes that hold the lease."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[str]] = []

    def hold(self, store: Store, elsewhere: bool = False) -> subprocess.Popen[str]:
        """Start a process, and return when it holds the lease."""
        code = HOLD.format(refresh=REFRESH, stale=STALE, suspend=SUSPEND)
        command = [*(ELSEWHERE if elsewhere else ()), sys.executable, "-c", code, store.root]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    @staticmethod
    def signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
        for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
            one.send_signal(number)
        if number == signal.SIGKILL:
            process.wait()


@pytest.fixture
def others() -> Iterator[Others]:
    found = Others()
    yield found
    for process in found.processes:
        if process.poll() is None:
            found.signal(process, signal.SIGKILL)
        assert process.stdout is not None
        process.stdout.close()


def take(store: Store, say: Callable[[str], None] = print) -> Lease:
    return Lease(store, "driver", lambda _: None, say=say)


def take_patiently(store: Store, lost: Callable[[str], None]) -> Lease:
    """A lease that is not lost because a busy machine refreshed it too late for the short limits here."""
    return Lease(store, "driver", lost, patience_s=600, say=lambda _: None)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a process id namespace")


def test_one_after_the_other_holds_it_and_one_small_file_stays(store: Store) -> None:
    for _ in range(3):
        with take(store):
            pass
    assert store.child("driver").names() == ["00000003.json"]


def test_a_living_owner_is_named_at_once(store: Store, others: Others) -> None:
    process, said = others.hold(store), list[str]()
    with pytest.raises(HeldError, match=f"process {process.pid} on "), take(store, said.append):
        pass
    assert said == []  # A lease says so when it has to wait.


def test_an_owner_killed_on_this_machine_is_followed_at_once(store: Store, others: Others) -> None:
    said: list[str] = []
    others.signal(others.hold(store), signal.SIGKILL)
    with take(store, said.append):
        assert said == []  # A lease says so when it has to wait.


@pytest.mark.slow
@needs_root
def test_a_dead_owner_elsewhere_is_followed_when_it_was_silent_long_enough(
    store: Store, others: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    process = others.hold(store, elsewhere=True)
    time.sleep(1)
    with pytest.raises(HeldError), take(store):  # The owner is alive, because it has refreshed the lease.
        pass
    others.signal(process, signal.SIGKILL)
    started = time.monotonic()
    with take(store):
        assert STALE - REFRESH - 1.2 < time.monotonic() - started < STALE + 3
    assert "waiting up to" in capsys.readouterr().out


@pytest.mark.slow
@needs_root
def test_an_owner_that_was_stalled_and_followed_learns_it(store: Store, others: Others) -> None:
    process = others.hold(store, elsewhere=True)
    others.signal(process, signal.SIGSTOP)
    with take(store):
        others.signal(process, signal.SIGCONT)
        assert process.stdout is not None
        # Its two threads notice the same loss; the first one says how.
        assert process.stdout.readline() in (
            f"lost: another driver, process {os.getpid()} on {os.uname().nodename}, has taken this sweep over\n",
            f"lost: it could not be refreshed for {SUSPEND:g} s, and another driver may take it over\n",
        )
    assert store.child("driver").names() == ["00000002.json"]


def test_of_many_who_want_it_at_once_one_gets_it(store: Store) -> None:
    holding, most = 0, 0
    refused: list[Holder] = []
    mutex = threading.Lock()

    def want(_: int) -> bool:
        nonlocal holding, most
        try:
            with take(store):
                with mutex:
                    holding += 1
                    most = max(most, holding)
                time.sleep(0.5)
                with mutex:
                    holding -= 1
                return True
        except HeldError as held:
            refused.append(held.holder)
            return False

    with ThreadPoolExecutor(12) as pool:
        got = sum(pool.map(want, range(12)))
    assert most == 1
    assert got + len(refused) == 12
    assert got >= 1


@pytest.mark.slow
def test_a_damaged_lease_goes_stale(store: Store) -> None:
    store.write("driver/00000007.json", b"{half")
    with take(store):
        assert store.child("driver").names() == ["00000008.json"]


def damaged(content: bytes) -> bytes:
    """The same JSON with another process id, as if a digit had changed on the disk."""
    found = json.loads(content)
    return content.replace(b'"pid":%d' % found["pid"], b'"pid":%d' % (found["pid"] + 1))


@pytest.mark.parametrize("how", ["beginning", "changed", "number", "sweep"])
def test_a_file_that_names_no_holder_is_not_believed_and_named_when_it_is_replaced(tmp_path: Path, how: str) -> None:
    store, said = Store(str(tmp_path / "mine")), list[str]()
    with Lease(store, "driver", lambda _: None, of="mine"):
        genuine = store.read("driver/00000001.json") or b""
    with Lease(Store(str(tmp_path / "other")), "driver", lambda _: None, of="other") as other:
        foreign = Store(str(tmp_path / "other")).read("driver/00000001.json") or b""
    assert Holder.model_validate_json(foreign).token == other.fence.token
    name = "00000004.json" if how == "number" else "00000001.json"
    content = {"beginning": genuine[:40], "changed": damaged(genuine), "number": genuine, "sweep": foreign}[how]
    store.write(f"driver/{name}", content)
    os.utime(tmp_path / "mine" / "driver" / name, (0, 0))
    with Lease(store, "driver", lambda _: None, say=said.append, of="mine"):
        pass
    reason = {
        "number": "a copy of the lease 00000001.json of mine",
        "sweep": "a copy of the lease 00000001.json of other",
    }
    assert said == [f"{store.place(f'driver/{name}')} is {reason.get(how, 'damaged')}; this driver has replaced it"]


@pytest.mark.slow
def test_a_copy_of_the_lease_of_another_sweep_that_runs_locks_no_driver_out(store: Store) -> None:
    said: list[str] = []
    other = store.child("other")
    with Lease(other, "driver", lambda _: None, of="other"):
        store.write("driver/00000001.json", other.read("driver/00000001.json") or b"")
        with Lease(store, "driver", lambda _: None, say=said.append, of="mine"):
            pass
    assert re.search(r"00000001\.json of other, and was written \d+ s ago; waiting up to", said[0])


def test_a_lease_of_an_earlier_version_is_respected(store: Store, others: Others) -> None:
    """Version 0.1.0 wrote neither a checksum nor the name of the sweep."""
    others.hold(store)
    old = json.loads(store.read("driver/00000001.json") or b"")
    written = json.dumps({name: old[name] for name in ("host", "machine", "pid", "started", "token", "released")})
    store.write("driver/00000001.json", written.encode())
    with pytest.raises(HeldError), Lease(store, "driver", lambda _: None, of="mine"):
        pass


@pytest.mark.slow
@needs_root
def test_an_owner_that_cannot_reach_the_store_stops_before_another_one_starts(
    store: Store, others: Others, tmp_path: Path
) -> None:
    if store.root.startswith("s3:"):
        pytest.skip("The folder is what can be taken away here; a cut bucket is one of the faults of tests/chaos.")
    process = others.hold(store, elsewhere=True)
    folder, aside = Path(store.root) / "driver", tmp_path / "aside"
    folder.rename(aside)
    folder.write_text("a file, in which no lease can be refreshed")
    assert process.stdout is not None
    assert "could not be refreshed" in process.stdout.readline()
    lost = time.time()
    folder.unlink()
    aside.rename(folder)
    with take(store):
        assert time.time() >= lost
        written = max(file.stat().st_mtime for file in folder.iterdir())
    assert written - lost < STALE - SUSPEND + 3
    assert store.child("driver").names() == ["00000002.json"]


def passes(check: Callable[[], None]) -> bool:
    """Whether a check of a lease passes now. On a busy machine a refresh may come later than the short limit here."""
    try:
        check()
    except UnreachableError:
        return False
    return True


@pytest.mark.parametrize("restored", [False, True])
def test_a_removed_lease_is_lost_also_if_another_one_has_its_number(store: Store, restored: bool) -> None:
    reasons: list[str] = []
    with take_patiently(store, reasons.append) as first:
        wait_for(lambda: passes(first.check))
        wait_for(lambda: passes(first.fence.check))
        store.child("driver").delete("00000001.json")
        if restored:
            with take_patiently(store, lambda _: None) as second:
                assert second.fence.number == first.fence.number
                wait_for(lambda: reasons)
                wait_for(lambda: passes(second.check))
                wait_for(lambda: passes(second.fence.check))
                with pytest.raises(LostLeaseError, match=r"process \d+ on .* holds it now"):
                    first.fence.check()
        wait_for(lambda: reasons)
        with pytest.raises(LostLeaseError, match="was removed or replaced"):
            first.check()
        with pytest.raises(LostLeaseError, match="was removed or replaced"):
            store.guarded(first.check).write("record.json", b"{}")
    assert store.read("record.json") is None
    assert reasons == ["its file was removed or replaced"]


def test_nobody_may_write_after_the_holder_has_ended(store: Store) -> None:
    """A worker that the holder could not end may live longer than the holder."""
    with take_patiently(store, lambda _: None) as held:
        wait_for(lambda: passes(held.fence.check))
    with pytest.raises(LostLeaseError, match="has ended"):
        store.guarded(held.fence.check).write("record.json", b"{}")
    assert store.read("record.json") is None


@pytest.mark.slow
def test_others_may_not_write_either_while_the_lease_is_not_refreshed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's workers reach the store, and the driver does not."""
    monkeypatch.setattr(lease, "REFRESH_S", 600)
    with Lease(store, "driver", lambda _: None, patience_s=600, say=lambda _: None) as held:
        held.fence.check()
        fence = Fence(**json.loads(json.dumps(asdict(held.fence))))
        wait_for(lambda: (store.age("driver/00000001.json") or 0) >= SUSPEND)
        with pytest.raises(UnreachableError, match=r"could not refresh its lease for 1\.7 s"):
            store.guarded(fence.check).write("record.json", b"impatient")
        patient = threading.Thread(target=store.guarded(fence.check, 60).write, args=("record.json", b"patient"))
        patient.start()
        time.sleep(0.5)
        assert store.read("record.json") is None
        store.write("driver/00000001.json", store.read("driver/00000001.json") or b"")
        patient.join(30)
    assert store.read("record.json") == b"patient"


def test_the_age_of_a_file_is_read_with_its_content(store: Store) -> None:
    assert store.read_with_age("file") is None
    store.write("file", b"content")
    found = store.guarded(lambda: None).read_with_age("file")
    assert found is not None
    assert (found[0], found[1] < 30) == (b"content", True)


def test_other_names_in_the_folder_are_no_leases(store: Store) -> None:
    for name in ("\u00b2.json", "00000001.jsox", "x.json", "7.json"):
        store.write(f"driver/{name}", b"?")
    with take(store) as lease:
        assert lease.fence.number == 1


def wait_for(found: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not found():
        assert time.monotonic() < until
        time.sleep(0.05)
