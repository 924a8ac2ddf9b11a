"""Ends the process of a trial that hangs, so that Tune starts the trial again from its last checkpoint."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from core.ledger.progress_text import duration
from core.sweep.live_state import LiveState, Running

SILENCE_FACTOR = 20.0
"""A trial may be silent for this multiple of its longest silence up to now."""
START_S = 600.0
"""Least seconds until the first epoch: libraries are loaded and data fetched and decoded, on a busy machine."""
LOOK_EVERY_S = 1.0
STALL_S = 10.0
"""Seconds between two looks after which the driver itself was stalled, and the trials' silence says nothing."""


class Watchdog:
    """Ends running trials that hang; `look` is to be called often.

    A trial of several workers is ended through the process of its Tune trial, which takes the group with it. Where the
    whole node hangs, nothing can be done from here, and Ray gives the node up by itself.

    Args:
        live: the running trials.
        silence_s: seconds without a report that are always allowed.
        kill: ends a process by node id and pid; returns at once.
    """

    def __init__(self, live: LiveState, silence_s: float, kill: Callable[[str, int], None] | None = None) -> None:
        self.live, self.silence_s = live, silence_s
        self._kill = kill or kill_process
        self._looked = time.monotonic()

    def look(self) -> list[str]:
        """End what has been silent too long; returns a line about each trial that was."""
        now = time.monotonic()
        since = now - self._looked
        if since < LOOK_EVERY_S:
            return []
        self._looked = now
        if since > STALL_S:
            self.live.extend_deadlines(since)
        return [self._end(state, now) for state in list(self.live.running.values()) if self._hangs(state, now)]

    def limit_s(self, state: Running) -> float:
        """How long this trial may be silent."""
        return max(self.silence_s, SILENCE_FACTOR * state.slowest_s if state.row else START_S)

    def _hangs(self, state: Running, now: float) -> bool:
        return state.process is not None and now - state.reported > self.limit_s(state)

    def _end(self, state: Running, now: float) -> str:
        assert state.process is not None
        self._kill(*state.process)
        silent, state.reported = now - state.reported, now  # once more after the same time, should it survive this
        state.silenced_s = silent
        return (
            f"{state.key} was silent for {duration(silent)}: its process is ended, it goes on from its last checkpoint"
        )


def kill_process(node: str, pid: int) -> None:
    """Start a task on the process's node that sends SIGKILL, which ends a stopped process too. Returns at once."""
    here = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    ray.remote(_kill).options(num_cpus=0, max_retries=0, scheduling_strategy=here).remote(pid)


def _kill(pid: int) -> None:
    title = Path(f"/proc/{pid}/cmdline")
    # otherwise the process has exited and its PID may have been reused
    if title.exists() and title.read_bytes().startswith(b"ray::"):
        os.kill(pid, signal.SIGKILL)
