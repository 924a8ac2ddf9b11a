"""The kinds of faults and their frequencies.

A fault is a generator. Before its first ``yield`` it breaks something. It yields the seconds that the fault lasts, and
then repairs what does not recover automatically. A fault that finds nothing to break yields nothing.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import psutil

from core.storage.lease import SUSPEND_S
from tests.chaos.site import GROUP_WORKER, LOCAL, LONE_WORKER, Site
from tests.hosts.host import Host
from tests.servers.server import Server

Lasting = Iterator[float]
Strike = Callable[[Site, Random], Lasting]
STARTS_WITHIN_S = 180
SKEW_S = 20 * 60
"""Error of the clock in seconds. S3 rejects requests with a clock error of more than 15 minutes."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        name: name in tables.
        share: number of such faults among 200.
        target: part that the fault breaks. Only one fault at a time breaks the same part.
        costly: True if work is lost. Between two such faults the sweep must save something.
        strike: the generator, see the module's docstring.
    """

    name: str
    share: int
    target: str
    costly: bool
    strike: Strike


def kill_worker(site: Site, rng: Random) -> Lasting:
    """A training process gets SIGKILL."""
    for title in rng.sample((LONE_WORKER, GROUP_WORKER), 2):
        if worker := site.training_workers(title, rng):
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
                yield 0
            return


def stall_worker(site: Site, rng: Random) -> Lasting:
    """A training process gets SIGSTOP, and SIGCONT seconds later."""
    for title in rng.sample((LONE_WORKER, GROUP_WORKER), 2):
        if worker := site.training_workers(title, rng):
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.suspend()
                yield rng.uniform(0.5, 3)
                worker.resume()
            return


def kill_driver(site: Site, rng: Random) -> Lasting:
    """The driver gets SIGKILL."""
    for driver in site.drivers():
        with contextlib.suppress(psutil.NoSuchProcess):
            driver.kill()
            yield 0


def terminate_driver(site: Site, rng: Random) -> Lasting:
    """The driver gets SIGTERM."""
    for driver in site.drivers():
        with contextlib.suppress(psutil.NoSuchProcess):
            driver.terminate()
            yield 0


def stall_driver(site: Site, rng: Random) -> Lasting:
    """The driver gets SIGSTOP, and SIGCONT seconds later."""
    for driver in site.drivers():
        with contextlib.suppress(psutil.NoSuchProcess):
            entered = driver.parent()
            driver.suspend()
            yield rng.uniform(0.5, 4)
            driver.resume()
            if entered:  # `nsenter` stops together with its program, but does not continue with it.
                entered.resume()


def kill_raylet(site: Site, rng: Random) -> Lasting:
    """A host's raylet gets SIGKILL, and all Ray processes of the host end. Ray is then restarted."""
    host = rng.choice(site.cluster.workers)
    for raylet in host.processes("/raylet/raylet "):
        with contextlib.suppress(psutil.NoSuchProcess):
            raylet.kill()
    yield rng.uniform(1, 3)
    start_ray(site, host)


def switch_host_off(site: Site, rng: Random) -> Lasting:
    """A host loses power and cannot announce it. It returns with Ray some time later."""
    host = rng.choice(site.cluster.workers)
    host.kill()
    yield rng.uniform(1, 12)
    host.start()
    start_ray(site, host)


def replace_host(site: Site, rng: Random) -> Lasting:
    """A host is taken away, and another one joins in its place. Later the first returns and the other is taken away."""
    host = rng.choice(site.cluster.workers)
    host.kill()
    yield rng.uniform(0.5, 2)
    other = site.network.add_host(f"other{rng.getrandbits(32)}")
    start_ray(site, other)
    time.sleep(rng.uniform(2, 8))
    host.start()
    other.kill()
    site.network.hosts.remove(other)
    start_ray(site, host)


def lose_head(site: Site, rng: Random) -> Lasting:
    """The head and the driver lose power. The disk is replaced, and the cluster is restarted on all hosts."""
    site.head_is_up.clear()
    for host in site.network.hosts:
        host.kill()
    yield 1

    def start() -> None:
        for host in site.network.hosts:
            host.kill()
            host.start()
        site.start_cluster()

    _until_done(start)


def cut_worker_off(site: Site, rng: Random) -> Lasting:
    """A host's link loses all packets for seconds."""
    host = rng.choice(site.cluster.workers)
    host.cut()
    yield rng.uniform(0.5, 5)
    host.heal()


def cut_head_off(site: Site, rng: Random) -> Lasting:
    """The head's link loses all packets for seconds."""
    site.head.cut()
    yield rng.uniform(0.5, 4)
    site.head.heal()


def killed(server: Callable[[Site], Server], seconds: tuple[float, float]) -> Strike:
    """A server gets SIGKILL. Connections are refused until it is restarted."""

    def strike(site: Site, rng: Random) -> Lasting:
        server(site).kill()
        yield rng.uniform(*seconds)
        _until_done(server(site).start)

    return strike


def stalled(server: Callable[[Site], Server], seconds: tuple[float, float]) -> Strike:
    """A server accepts connections and does not answer."""

    def strike(site: Site, rng: Random) -> Lasting:
        server(site).pause()
        yield rng.uniform(*seconds)
        server(site).resume()

    return strike


def restart_database(site: Site, rng: Random) -> Lasting:
    """PostgreSQL is restarted regularly. Open transactions are rolled back."""
    site.database.stop()
    yield rng.uniform(0, 1)
    _until_done(site.database.start)


def skew_clock(site: Site, rng: Random) -> Lasting:
    """The S3 gateway's clock jumps by twenty minutes, and later back.

    The driver's clock does not jump, because ``time.sleep`` fails then with Debian's libfaketime 0.9.10.
    """
    site.clock.set_off(rng.choice((-SKEW_S, SKEW_S)))
    yield rng.uniform(0.5, 4)
    site.clock.set_off(0)


def lose_answers(site: Site, rng: Random) -> Lasting:
    """MLflow does what drivers ask for, and its answers are lost. The drivers get the status 504."""
    site.answers_lost.set()
    yield rng.uniform(1, 5)
    site.answers_lost.clear()


def cut_driver_from_store(site: Site, rng: Random) -> Lasting:
    """The driver does not reach S3 for longer than it may be without it; workers on other hosts do."""
    site.head.cut_from(site.store.host)
    yield SUSPEND_S + rng.uniform(5, 15)
    if site.head.alive:
        site.head.heal_to(site.store.host)


def fill_disk(site: Site, rng: Random) -> Lasting:
    """The file system of the driver's home and temporary folder is full."""
    filler = f"{LOCAL}/filler"
    site.head.run("dd", "if=/dev/zero", f"of={filler}", "bs=64k", check=False)
    yield rng.uniform(0.5, 4)
    if site.head.alive:
        site.head.run("rm", "-f", filler, check=False)


def _until_done(start: Callable[[], None]) -> None:
    """Call ``start`` until it succeeds, as a service manager does. Other faults may make it fail."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            return start()
        except (AssertionError, RuntimeError, subprocess.SubprocessError):
            if time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def start_ray(site: Site, host: Host) -> None:
    """Start Ray on a running host, which may still have processes of an earlier Ray."""

    def start() -> None:
        site.cluster.ray(host, "stop", "--force", check=False)
        site.cluster.join(host)

    _until_done(start)


KINDS = (
    Kind("worker killed", 22, "worker", True, kill_worker),
    Kind("worker stalled", 33, "stalled worker", False, stall_worker),
    Kind("driver killed", 5, "driver", True, kill_driver),
    Kind("driver told to end (SIGTERM)", 2, "driver", True, terminate_driver),
    Kind("driver stalled", 9, "driver", False, stall_driver),
    Kind("raylet killed", 2, "host", True, kill_raylet),
    Kind("host off and on", 2, "host", True, switch_host_off),
    Kind("host replaced by another", 2, "host", True, replace_host),
    Kind("head lost, cluster started again", 1, "cluster", True, lose_head),
    Kind("host cut off", 16, "host", False, cut_worker_off),
    Kind("head cut off", 7, "head", False, cut_head_off),
    Kind("MLflow server killed", 4, "mlflow", False, killed(lambda site: site.mlflow, (0, 2))),
    Kind("MLflow server away for half a minute", 2, "mlflow", False, killed(lambda site: site.mlflow, (20, 30))),
    Kind("MLflow's answers lost", 8, "answers", False, lose_answers),
    Kind("MLflow server stalled", 15, "mlflow", False, stalled(lambda site: site.mlflow, (0.5, 5))),
    Kind("PostgreSQL killed", 8, "database", False, killed(lambda site: site.database, (0, 3))),
    Kind("PostgreSQL restarted", 7, "database", False, restart_database),
    Kind("PostgreSQL stalled", 9, "database", False, stalled(lambda site: site.database, (0.5, 4))),
    Kind("S3 refusing", 16, "store", False, killed(lambda site: site.store, (0.5, 4))),
    Kind("S3 stalled", 16, "store", False, stalled(lambda site: site.store, (0.5, 4))),
    Kind("S3's clock 20 min off", 10, "clock", False, skew_clock),
    Kind("driver cut off from S3 for over a minute", 1, "way to the store", False, cut_driver_from_store),
    Kind("driver's disk full", 5, "disk", True, fill_disk),
)
WHOLE_CLUSTER = {"cluster", "host", "head", "driver", "disk", "worker", "stalled worker", "way to the store"}
"""Targets that exist only with a running cluster. A fault of the whole cluster excludes faults of them."""


def schedule(count: int, seed: int) -> list[tuple[Kind, Random]]:
    """``count`` faults in random order with the kinds' shares, each with a separate random generator.

    If ``count`` is at least twice the number of kinds, every kind occurs, even if its expected number is below one.
    """
    rng = Random(seed)
    total = sum(kind.share for kind in KINDS)
    exact = {kind: count * kind.share / total for kind in KINDS}
    least = 1 if count >= 2 * len(KINDS) else 0
    numbers = {kind: max(int(exact[kind]), least) for kind in KINDS}
    by_remainder = sorted(KINDS, key=lambda kind: exact[kind] - numbers[kind], reverse=True)
    for kind in by_remainder[: count - sum(numbers.values())]:
        numbers[kind] += 1
    kinds = [kind for kind in KINDS for _ in range(numbers[kind])]
    rng.shuffle(kinds)
    return [(kind, Random(rng.getrandbits(64))) for kind in kinds]
