"""The watchdog, which ends the process of a trial that hangs. Tune then restarts the trial from its last checkpoint."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from core.quantity import duration
from core.sweep.live_state import LiveState
from core.sweep.running import Running

SILENCE_FACTOR = 20.0
"""A trial may be silent for this multiple of its longest silence so far."""
START_S = 600.0
"""Seconds that are always allowed before the first report, in which libraries are imported and data is loaded."""
LOOK_EVERY_S = 1.0
"""Least seconds between two looks at the running trials."""
STALL_S = 10.0
"""Seconds between two looks above which the driver itself was stalled, and the deadlines are extended."""


class Watchdog:
    """Ends the processes of trials that hang. The driver must call `look` often.

    A trial of several workers is ended through the process of its Tune trial, whose end also ends the worker group. If
    a whole node hangs, the watchdog cannot act on it, and Ray declares the node dead.

    Args:
        live: the state of the running trials.
        silence_s: seconds without a report that are always allowed.
        suspended: tells whether the store is away, which trials may wait for. Their deadlines are extended then.
        kill: ends a process, given by node id and process id, without waiting.
    """

    def __init__(
        self,
        live: LiveState,
        silence_s: float,
        suspended: Callable[[], bool] = lambda: False,
        kill: Callable[[str, int], None] | None = None,
    ) -> None:
        self.live, self.silence_s, self._suspended = live, silence_s, suspended
        self._kill = kill or kill_process
        self._looked = time.monotonic()

    def look(self) -> list[str]:
        """End the processes of trials that were silent for too long, and return a line about each of them."""
        now = time.monotonic()
        since = now - self._looked
        if since < LOOK_EVERY_S:
            return []
        self._looked = now
        if since > STALL_S or self._suspended():
            self.live.extend_deadlines(since)
        return [self._end(state, now) for state in list(self.live.running.values()) if self._hangs(state, now)]

    def limit_s(self, state: Running) -> float:
        """Seconds for which this trial may be silent."""
        return max(self.silence_s, SILENCE_FACTOR * state.slowest_s, 0.0 if state.row else START_S)

    def _hangs(self, state: Running, now: float) -> bool:
        alive = state.process is not None and state.ended_at is None
        return alive and now - state.reported > self.limit_s(state)

    def _end(self, state: Running, now: float) -> str:
        assert state.process is not None
        self._kill(*state.process)
        # if the process survives, the watchdog tries again after the same time
        silent, state.reported = now - state.reported, now
        state.silenced_s = silent
        return (
            f"{state.name} was silent for {duration(silent)}: its process is ended and the trial continues from its "
            "last checkpoint"
        )


def kill_process(node: str, pid: int) -> None:
    """Start a task on ``node`` that sends SIGKILL, which also ends a suspended process. Do not wait for the task."""
    here = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    ray.remote(_kill).options(num_cpus=0, max_retries=0, scheduling_strategy=here).remote(pid)


def _kill(pid: int) -> None:
    title = Path(f"/proc/{pid}/cmdline")
    # otherwise the process has exited and its PID may have been reused
    if title.exists() and title.read_bytes().startswith(b"ray::"):
        os.kill(pid, signal.SIGKILL)
