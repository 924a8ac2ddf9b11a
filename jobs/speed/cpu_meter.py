"""CPU-seconds of this process and of everything that it started, also of what has ended since."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType

SAMPLE_S = 0.1
PROC = Path("/proc")


class CpuMeter:
    """Samples /proc while it is entered (Linux only).

    Ray's raylet does not wait for its workers, so the kernel adds their times to nobody's: each process is watched
    while it lives, and what it used after the last sample before its end is lost.
    """

    def __init__(self) -> None:
        self._ticks: dict[tuple[int, int], int] = {}
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> CpuMeter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def seconds(self) -> float:
        """User and system time so far."""
        with self._lock:
            self._ticks |= _family(os.getpid())
            return sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK")

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_S):
            self.seconds()


def _family(root: int) -> dict[tuple[int, int], int]:
    """Clock ticks used by ``root`` and each of its descendants, by (pid, start time)."""
    everybody = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                content = (folder / "stat").read_text()
            except OSError:
                continue  # ended since it was listed
            # the name may hold anything, so count from its closing bracket
            fields = content[content.rindex(")") + 2 :].split()
            everybody[int(folder.name)] = (int(fields[1]), int(fields[19]), int(fields[11]) + int(fields[12]))
    children: dict[int, list[int]] = {}
    for pid, (parent, _, _) in everybody.items():
        children.setdefault(parent, []).append(pid)
    found, queue = {}, [root]
    while queue:
        pid = queue.pop()
        _, started, ticks = everybody[pid]
        found[pid, started] = ticks
        queue += children.get(pid, [])
    return found
