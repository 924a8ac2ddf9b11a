"""Applies a schedule of faults to running sweeps, at a rate that lets the sweeps make progress."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from random import Random

from tests.chaos.faults import WHOLE_CLUSTER, Kind
from tests.chaos.site import Site
from tests.chaos.strikes import Lasting, start_ray
from tests.chaos.supervisor import Announce, Supervisor
from tests.hosts.host import Host

GAP_S = (0.1, 0.7)
"""Range of the seconds between two faults. Faults last longer than this, so that several overlap."""
SAY_EVERY = 20
SAVES_BETWEEN = 2
"""Number of saves that must be seen between two faults that cost work."""
MAX_AT_ONCE = 10
"""Largest number of faults without a save. Further faults wait for a save."""
MAX_STANDSTILL_S = 900
"""Seconds without a save after which the sweeps count as hanging."""
LATE_S = 1.0
"""Seconds after the end of a fault in which a save does not count, because it may have started before."""


@dataclass
class Blow:
    """One fault that happened.

    Attributes:
        began: start of the fault, in seconds of the monotonic clock.
        ended: end of the fault.
        recovered: time of the first save after the fault.
        drivers: number of driver starts before the fault and until the recovery.
        attempts: number of trial restarts before the fault and until the recovery.
    """

    kind: Kind
    began: float
    drivers: list[int]
    attempts: list[int]
    ended: float | None = None
    recovered: float | None = None

    @property
    def outcome(self) -> str:
        """The restart that was needed until the first save after the fault, in words."""
        if self.recovered is None:
            return "sweep was done"
        if self.drivers[1] > self.drivers[0]:
            return "driver started again"
        return "trial started again" if self.attempts[1] > self.attempts[0] else "went on"


class Progress(threading.Thread):
    """Monitors the saves of the sweeps.

    Attributes:
        saved_at: time of the last save that was seen; equal to ``started_at`` before the first one.
        saves: number of times that a save was seen.
        attempts: number of trial restarts by drivers.
    """

    def __init__(self, site: Site) -> None:
        super().__init__(name="progress", daemon=True)
        self.site = site
        self.saved_at = self.started_at = time.monotonic()
        self.saves = self.attempts = 0
        self._over = threading.Event()

    def run(self) -> None:
        """Check the storage repeatedly."""
        before: set[tuple[str, str]] = set()
        with self.site.log.open() as log:
            while not self._over.wait(0.25):
                # Faults make S3 unreachable at times.
                with contextlib.suppress(Exception):
                    found = {(entry["Key"], entry["ETag"]) for entry in self.site.objects() if _counts(entry["Key"])}
                    if found - before:
                        self.saved_at = time.monotonic()
                        self.saves += 1
                    before = found
                self.attempts += log.read().count(" (attempt ")

    def stop(self) -> None:
        """Stop checking."""
        self._over.set()
        self.join()


def _counts(key: str) -> bool:
    return key.endswith(("/resume.ckpt", "/record.json"))


class Chaos:
    """A run of both sweeps under faults.

    Attributes:
        blows: the faults that happened, in order.
        rejoined: number of times that Ray on a host was found dead without a fault on it, and was restarted.
        supervisor: the thread that runs the drivers.
        planned: planned number of faults.
    """

    def __init__(self, site: Site, planned: list[tuple[Kind, Random]], seed: int, announce: Announce) -> None:
        self.site = site
        self.blows: list[Blow] = []
        self.supervisor = Supervisor(site, announce)
        self.progress = Progress(site)
        self.planned = len(planned)
        self._planned = list(planned)
        self._pace = Random(seed)
        self.rejoined = 0
        self._broken: set[str] = set()
        self._costly_from = 0
        self._mending: list[Future[None]] = []

    def run(self) -> None:
        """Start the sweeps, apply all faults, and wait for the end of the sweeps.

        Raises:
            RuntimeError: the sweeps hang. The message contains the output of the last driver.
        """
        self.progress.start()
        self.supervisor.start()
        try:
            while self.progress.saved_at == self.progress.started_at:
                self._await(0.2)
            while self._planned:
                self._await(self._pace.uniform(*GAP_S))
                self._look_after_hosts()
                if self._in_time and sum(blow.began > self.progress.saved_at for blow in self.blows) < MAX_AT_ONCE:
                    self._strike()
            self.supervisor.enough.set()
            while self.supervisor.is_alive():
                self._await(0.5)
                self._look_after_hosts()
        finally:
            self.supervisor.give_up()
            self.progress.stop()

    @property
    def _in_time(self) -> bool:
        """False while the first sweep has had its half of the faults, and the second one has not begun."""
        return self.supervisor.both_began or 2 * len(self.blows) < self.planned

    def _strike(self) -> None:
        # A fault that has to wait keeps its place in the order, and is the first one as soon as it may happen.
        for place, (kind, rng) in enumerate(self._planned):
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
        """Restart Ray on hosts where it ended after a long loss of contact with the head, as an autoscaler would."""
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
        if self._broken & {kind.target, *kind.needs} or ("cluster" in self._broken and kind.target in WHOLE_CLUSTER):
            return False
        if kind.target == "cluster" and self._broken & WHOLE_CLUSTER:
            return False
        return not kind.costly or self.progress.saves >= self._costly_from

    def _mend(self, blow: Blow, lasting: Lasting, seconds: float) -> None:
        try:
            time.sleep(seconds)
            for further in lasting:
                time.sleep(further)
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
        if time.monotonic() - saved > MAX_STANDSTILL_S:
            raise RuntimeError(
                f"the sweep has saved nothing for {MAX_STANDSTILL_S} s; broken now: {self._broken or 'nothing'}; "
                f"its drivers printed last:\n{self.site.log.read_text()[-6000:]}"
            )
