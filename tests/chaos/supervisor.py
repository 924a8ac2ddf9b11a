"""A supervisor that restarts the sweep's command after a failure, which is the documented way to continue a sweep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.chaos.site import Site
from tests.chaos.sweeps import ALONE, GROUPS, SweepCommand

PAUSE_S = 0.5
Announce = Callable[[SweepCommand, int], None]
"""Called with a sweep and its new number of seeds."""


@dataclass(frozen=True)
class DriverEnd:
    """The end of a driver: its sweep, exit code and running time."""

    sweep: str
    code: int
    ran_s: float


class Supervisor(threading.Thread):
    """Runs a sweep of single workers and one of groups in turn, each time with more seeds, until `enough` is set.

    Attributes:
        enough: set to add no further seeds.
        starts: number of driver starts.
        ends: ends of drivers, in order.
        seeds: number of seeds in the last round, by sweep.
    """

    def __init__(self, site: Site, announce: Announce) -> None:
        super().__init__(name="supervisor", daemon=True)
        self.site, self._announce = site, announce
        self.enough, self._stop_now = threading.Event(), threading.Event()
        self.starts = 0
        self.ends: list[DriverEnd] = []
        self.seeds = {ALONE: 0, GROUPS: 0}

    @property
    def both_began(self) -> bool:
        """True once a driver of each sweep was started."""
        return all(self.seeds.values())

    def run(self) -> None:
        """Run rounds of both sweeps."""
        for sweep in self._rounds():
            while not self._stop_now.is_set() and self._run_driver(sweep) != 0:
                self._stop_now.wait(PAUSE_S)

    def give_up(self) -> None:
        """Stop after the current driver."""
        self._stop_now.set()

    def _rounds(self) -> Iterator[SweepCommand]:
        while not self.enough.is_set():
            for sweep in (GROUPS, ALONE):
                self.seeds[sweep] += sweep.seeds_per_round
                self._announce(sweep, self.seeds[sweep])
                yield sweep

    def _run_driver(self, sweep: SweepCommand) -> int:
        self.site.head_is_up.wait()
        started = time.monotonic()
        self.starts += 1
        try:
            code = self.site.start_driver(*sweep.options(self.seeds[sweep])).wait()
        except AssertionError:  # The head was switched off at this moment.
            code = -1
        self.ends.append(DriverEnd(sweep.name, code, time.monotonic() - started))
        return code
