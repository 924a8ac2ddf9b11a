"""Processes that the kernel kills for lack of memory are counted, here in a small memory cgroup."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.cluster.memory_kills import memory_kills

CGROUPS = Path("/sys/fs/cgroup")
LIMIT = 64 * 2**20


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A memory cgroup of this test with `LIMIT` bytes."""
    name = f"unmask-test-{os.getpid()}"
    for folder, file in ((CGROUPS / "memory", "memory.limit_in_bytes"), (CGROUPS, "memory.max")):
        group = folder / name
        try:
            group.mkdir()
            (group / file).write_text(str(LIMIT))
        except OSError:
            with contextlib.suppress(OSError):
                group.rmdir()
            continue
        try:
            yield group
        finally:
            group.rmdir()
        return
    pytest.skip("needs the right to make memory cgroups")


def test_a_process_that_takes_too_much_is_counted(small_group: Path) -> None:
    before = memory_kills()
    code = f"open('{small_group}/cgroup.procs', 'w').write('0'); bytearray({4 * LIMIT})"
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert memory_kills() > before
