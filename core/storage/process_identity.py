"""Identity of machines and processes, by which one process can tell whether another one is still running."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path


@cache
def this_machine() -> str:
    """An identifier that is equal for processes that can see each other's process ids.

    It is a digest of the kernel's boot id and the namespace of process ids.
    """
    try:
        parts = [Path("/proc/sys/kernel/random/boot_id").read_text(), str(Path("/proc/self/ns/pid").readlink())]
    except OSError:  # only Linux has these files
        parts = [os.uname().nodename]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:12]


def temporary_prefix() -> str:
    """Beginning of the names of temporary folders on this machine that belong to this project.

    The id of the process that made the folder and ``-`` must follow. The next driver of a sweep deletes the folders of
    processes that have ended.
    """
    return f"unmask-{this_machine()}-"


def started_at(pid: int) -> str:
    """Start time of a process in ticks since boot; empty if there is no such process, ``unknown`` except on Linux.

    The start time distinguishes a process from a later one that got the same id.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "" if Path("/proc/self/stat").exists() or not _accepts_signals(pid) else "unknown"
    return "" if fields[0] in "ZX" else fields[19]


def _accepts_signals(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
