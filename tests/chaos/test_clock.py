"""A clock that is set wrong changes the time of day, and no waiting time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.clock import Clock, missing

pytestmark = pytest.mark.slow

WAITS = """
import ctypes, sys, time

libc = ctypes.CDLL(None)
# larger than these objects are in any C library
attributes, condition, mutex = (ctypes.create_string_buffer(256) for _ in range(3))
libc.pthread_condattr_init(attributes)
libc.pthread_condattr_setclock(attributes, ctypes.c_int(time.CLOCK_MONOTONIC))
libc.pthread_cond_init(condition, attributes)
libc.pthread_mutex_init(mutex, None)
libc.pthread_mutex_lock(mutex)

def wait_for_a_condition():
    until = time.monotonic_ns() + 200_000_000
    moment = (ctypes.c_long * 2)(*divmod(until, 10**9))
    libc.pthread_cond_timedwait(condition, mutex, moment)

for line in sys.stdin:
    print(time.time())
    for wait in (wait_for_a_condition, lambda: time.sleep(0.2)):
        began = time.monotonic()
        wait()
        print(time.monotonic() - began)
    print(flush=True)
"""
"""A program that prints the time of day, and how long waits of 0.2 s take, for each line that it reads."""


def test_a_clock_that_jumps_changes_no_waiting_time(tmp_path: Path) -> None:
    """Python waits for its lock with such a condition, and would use a whole processor if the wait ended at once."""
    if reason := missing():
        pytest.skip(reason)
    clock = Clock(tmp_path / "clock")
    with subprocess.Popen(
        [sys.executable, "-c", WAITS],
        env={**os.environ, **clock.environment, "FAKETIME_NO_CACHE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin
        assert program.stdout
        days = []
        for ahead in (0, 7200, -7200):
            clock.set_off(ahead)
            program.stdin.write("\n")
            program.stdin.flush()
            day, *waited = map(float, iter(lambda: program.stdout.readline().strip(), ""))
            assert all(seconds >= 0.19 for seconds in waited), waited
            days.append(day)
    assert days[1] - days[0] > 7000
    assert days[0] - days[2] > 7000
