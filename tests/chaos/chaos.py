"""Inflicts a schedule of faults on a running sweep, at the pace at which the sweep gets on."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from random import Random

from tests.chaos.faults import WHOLE_CLUSTER, Kind, Lasting, schedule, start_ray
from tests.chaos.site import Site
from tests.chaos.supervisor import Announce, Supervisor
from tests.hosts.host import Host

GAP_S = (0.2, 1.4)
"""Between two faults; they last longer, so that several are there at once."""
SAY_EVERY = 20
SAVES_BETWEEN = 2
"""How often the sweep must be seen to have saved something between two faults that cost work."""
MOST_AT_ONCE = 10
"""Faults without the sweep saving anything in between; more come when it has."""
LONGEST_STANDSTILL_S = 400
"""A sweep that saves nothing for so long has hung."""
LATE_S = 1.0
"""What is saved so soon after a fault's end was on its way before."""


@dataclass
class Blow:
    """One fault that happened.

    Attributes:
        began, ended, recovered: in seconds of the monotonic clock; recovered: the sweep saved something again.
        drivers, attempts: how many drivers, and trials again, had been started before, and by the recovery.
    """

    kind: Kind
    began: float
    drivers: list[int]
    attempts: list[int]
    ended: float | None = None
    recovered: float | None = None

    @property
    def outcome(self) -> str:
        """What had to happen until the sweep saved something again."""
        if self.recovered is None:
            return "sweep was done"
        if self.drivers[1] > self.drivers[0]:
            return "driver started again"
        return "trial started again" if self.attempts[1] > self.attempts[0] else "went on"


class Progress(threading.Thread):
    """Watches what the sweeps save.

    Attributes:
        saved_at: when something was last seen to be new; ``started_at``: nothing yet.
        saves: how often something was new.
        attempts: how many times a driver has started a trial again.
    """

    def __init__(self, site: Site) -> None:
        super().__init__(name="progress", daemon=True)
        self.site = site
        self.saved_at = self.started_at = time.monotonic()
        self.saves = self.attempts = 0
        self._over = threading.Event()

    def run(self) -> None:
        """Look again and again."""
        before: set[tuple[str, str]] = set()
        with self.site.log.open() as log:
            while not self._over.wait(0.25):
                # S3 is away now and then
                with contextlib.suppress(Exception):
                    found = {(entry["Key"], entry["ETag"]) for entry in self.site.objects() if _counts(entry["Key"])}
                    if found - before:
                        self.saved_at = time.monotonic()
                        self.saves += 1
                    before = found
                self.attempts += log.read().count(" (attempt ")

    def stop(self) -> None:
        """Look no longer."""
        self._over.set()
        self.join()


def _counts(key: str) -> bool:
    return key.endswith(("/resume.ckpt", "/record.json"))


class Chaos:
    """A run of both sweeps under faults.

    Attributes:
        blows: the faults that happened, in order.
        rejoined: how often Ray on a host was found dead by none of the faults alone, and started again.
        supervisor: who ran the drivers.
        planned: how many faults there are to be.
    """

    def __init__(self, site: Site, count: int, seed: int, announce: Announce) -> None:
        self.site = site
        self.blows: list[Blow] = []
        self.supervisor = Supervisor(site, announce)
        self.progress = Progress(site)
        self.planned = count
        self._planned = schedule(count, seed)
        self._pace = Random(seed)
        self.rejoined = 0
        self._broken: set[str] = set()
        self._costly_from = 0
        self._mending: list[Future[None]] = []

    def run(self) -> None:
        """Start the sweeps, inflict all faults, and let the sweeps finish.

        Raises:
            RuntimeError: the sweeps hang; the message says what the last driver printed.
        """
        self.progress.start()
        self.supervisor.start()
        try:
            while self.progress.saved_at == self.progress.started_at:
                self._await(0.2)
            while self._planned:
                self._await(self._pace.uniform(*GAP_S))
                self._look_after_hosts()
                if sum(blow.began > self.progress.saved_at for blow in self.blows) < MOST_AT_ONCE:
                    self._strike()
            self.supervisor.enough.set()
            while self.supervisor.is_alive():
                self._await(0.5)
                self._look_after_hosts()
        finally:
            self.supervisor.give_up()
            self.progress.stop()

    def _strike(self) -> None:
        # those that must wait for progress come whenever they may, or the last of them would go on alone for minutes
        for place, (kind, rng) in sorted(enumerate(self._planned), key=lambda entry: not entry[1][0].costly):
            if not self._allowed(kind):
                continue
            blow = Blow(kind, time.monotonic(), [self.supervisor.starts], [self.progress.attempts])
            lasting = kind.strike(self.site, rng)
            seconds = next(lasting, None)
            if seconds is None:
                continue
            del self._planned[place]
            self.blows.append(blow)
            self._broken.add(kind.target)
            self._mending.append(self.site.hands.submit(self._mend, blow, lasting, seconds))
            if len(self.blows) % SAY_EVERY == 0:
                passed = time.monotonic() - self.progress.started_at
                print(f"{len(self.blows)} of {self.planned} faults, {passed:.0f} s", flush=True)
            return

    def _look_after_hosts(self) -> None:
        """Start Ray again where it gave up after the head had not heard of it for too long, as an autoscaler would."""
        if self._broken & {"cluster", "host"}:
            return
        for host in self.site.cluster.workers:
            if not host.processes("/raylet/raylet "):
                self.rejoined += 1
                self._broken.add("host")
                self._mending.append(self.site.hands.submit(self._rejoin, host))
                return

    def _rejoin(self, host: Host) -> None:
        try:
            start_ray(self.site, host)
        finally:
            self._broken.discard("host")

    def _allowed(self, kind: Kind) -> bool:
        if kind.target in self._broken or ("cluster" in self._broken and kind.target in WHOLE_CLUSTER):
            return False
        if kind.target == "cluster" and self._broken & WHOLE_CLUSTER:
            return False
        return not kind.costly or self.progress.saves >= self._costly_from

    def _mend(self, blow: Blow, lasting: Lasting, seconds: float) -> None:
        try:
            time.sleep(seconds)
            next(lasting, None)
        finally:
            blow.ended = time.monotonic()
            if blow.kind.costly:
                self._costly_from = self.progress.saves + SAVES_BETWEEN
            self._broken.discard(blow.kind.target)

    def _await(self, seconds: float) -> None:
        time.sleep(seconds)
        for mended in self._mending:
            if mended.done():
                mended.result()
        saved = self.progress.saved_at
        for blow in self.blows:
            if blow.recovered is None and blow.ended is not None and saved > blow.ended + LATE_S:
                blow.recovered = saved
                blow.drivers.append(self.supervisor.starts)
                blow.attempts.append(self.progress.attempts)
        if time.monotonic() - saved > LONGEST_STANDSTILL_S:
            raise RuntimeError(
                f"the sweep has saved nothing for {LONGEST_STANDSTILL_S} s; broken now: {self._broken or 'nothing'}; "
                f"its drivers printed last:\n{self.site.log.read_text()[-6000:]}"
            )
