"""A sweep has at most one driver, and a second driver gets a clear message."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.command.exit_codes import interruptible
from core.ledger.driver_lock import driver_lock
from core.storage import Holder, Store, lease
from core.temporary import EXIT_CODE

HOLD = """
import sys, time
from core.storage import Store
from core.ledger.driver_lock import driver_lock
with driver_lock(Store(sys.argv[1]), "mine"):
    print("held", flush=True)
    time.sleep(600)
"""
FOLLOWED = """
import sys, time
from core.ledger import driver_lock
from core.storage import Holder, Store, lease
lease.REFRESH_S = driver_lock.EXIT_S = 0.2
store = Store(sys.argv[1])
with driver_lock.driver_lock(store, "mine"):
    other = Holder(host="elsewhere", machine="another", pid=7, started="1", token="t")
    store.write("driver/00000002.json", other.model_dump_json().encode())
    while True:
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            pass
"""
"""A driver that loses its lease and does not end."""


def test_a_second_driver_is_refused_until_the_first_one_is_killed(tmp_path: Path) -> None:
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    with first.stdout as printed:
        assert printed.readline() == "held\n"
        with (
            pytest.raises(ValueError, match=rf"--name mine: another driver, process {first.pid} on .* is running"),
            driver_lock(Store(str(tmp_path)), "mine"),
        ):
            pass
        first.kill()
        first.wait()
    before = time.monotonic()
    with driver_lock(Store(str(tmp_path)), "mine"):
        assert time.monotonic() - before < 2


def test_a_driver_that_was_followed_stops_and_says_by_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "REFRESH_S", 0.2)
    store = Store(str(tmp_path))
    other = Holder(host="elsewhere", machine="another", pid=7, started="1", token="t")

    def drive() -> None:
        with driver_lock(store, "mine"):
            store.write("driver/00000002.json", other.model_dump_json().encode())
            time.sleep(20)

    began = time.monotonic()
    taken_over = "another driver, process 7 on elsewhere, has taken this sweep over"
    with interruptible(), pytest.raises(ValueError, match=taken_over):
        drive()
    assert time.monotonic() < began + 15, "it was told only when it had done its work"
    assert Holder.model_validate_json(store.read("driver/00000002.json") or b"") == other


def test_a_driver_without_its_lease_that_does_not_end_exits_and_says_why(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FOLLOWED, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == EXIT_CODE
    assert "this driver has lost the sweep's lease" in ended.stderr
    assert "process 7 on elsewhere" in ended.stderr


@pytest.mark.slow
def test_it_exits_also_if_nothing_reads_its_messages(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    try:
        ended = subprocess.run([sys.executable, "-c", FOLLOWED, str(tmp_path)], stderr=writing, timeout=60, check=False)
    finally:
        os.close(reading)
        os.close(writing)
    assert ended.returncode == EXIT_CODE


def test_an_interrupt_of_the_user_stays_one(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), driver_lock(Store(str(tmp_path)), "mine"):
        raise KeyboardInterrupt
