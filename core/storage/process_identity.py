"""Which machine and which process this is, so that another process can tell whether this one is still alive."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path


@cache
def this_machine() -> str:
    """Same for processes that see each other's ids: one boot of one kernel, one namespace of process ids."""
    try:
        parts = [Path("/proc/sys/kernel/random/boot_id").read_text(), str(Path("/proc/self/ns/pid").readlink())]
    except OSError:  # not Linux: the name is what there is
        parts = [os.uname().nodename]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:12]


def started_at(pid: int) -> str:
    """When the process started, in ticks since boot, because its id may have been given again; empty: it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "" if Path("/proc/self/stat").exists() or not _signals(pid) else "unknown"
    return "" if fields[0] in "ZX" else fields[19]


def _signals(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
