"""Faults of processes, hosts, servers and networks.

A fault is a generator. Before its first ``yield`` it breaks something. It yields the seconds that the fault lasts, and
then repairs what does not recover automatically, or breaks the next thing and yields again. A fault that finds nothing
to break yields nothing.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from random import Random

import psutil

from core.storage.lease import SUSPEND_S
from tests.chaos.clock import Clock
from tests.chaos.site import GROUP_WORKER, LOCAL, LONE_WORKER, Site
from tests.hosts.host import Host
from tests.servers.server import Server

Lasting = Iterator[float]
Strike = Callable[[Site, Random], Lasting]
STARTS_WITHIN_S = 180
ENDS_WITHIN_S = 30
"""Seconds in which a driver ends after SIGTERM, before its host is switched off."""
NOTICED_S = 1
"""Seconds in which programs notice that their clock is wrong, or right again."""
STORM_ROUNDS, STORM_EVERY_S = 3, 60


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


def kill_workers_and_driver(site: Site, rng: Random) -> Lasting:
    """All training processes get SIGKILL, and the driver gets it while Ray Train replaces their groups."""
    workers, drivers = site.all_training_workers(), site.drivers()
    if not workers or not drivers:
        return
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()
    yield rng.uniform(0, 0.5)
    for driver in drivers:
        with contextlib.suppress(psutil.NoSuchProcess):
            driver.kill()


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
    _restart(site)


def _restart(site: Site) -> None:
    """Switch all hosts on and start the cluster."""

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


def clock_wrong(name: str, hours: tuple[float, float]) -> Strike:
    """A clock jumps by some hours, ahead or back, and later back to the right time.

    S3 rejects requests whose time differs by more than 15 minutes from its own.
    """
    return lambda site, rng: _wrong(site.clocks[name], rng, hours)


def clock_of_host_wrong(hours: tuple[float, float]) -> Strike:
    """The clock of a host that trains jumps, as in `clock_wrong`. Ray is restarted there when the clock is right again.

    When the clock of a host is set back, its raylet (Ray 2.60) does not report free resources for as long as the jump.
    ``jobs/deploy/README.md`` tells to restart Ray then.
    """

    def strike(site: Site, rng: Random) -> Lasting:
        host = rng.choice(site.cluster.workers)
        yield from _wrong(site.clocks[host.name], rng, hours)
        start_ray(site, host)

    return strike


def _wrong(clock: Clock, rng: Random, hours: tuple[float, float]) -> Lasting:
    clock.set_off(rng.choice((-1, 1)) * int(3600 * rng.uniform(*hours)))
    yield NOTICED_S + rng.uniform(0.5, 4)
    clock.set_off(0)
    yield NOTICED_S


def storm(site: Site, rng: Random) -> Lasting:
    """Half of the hosts that train lose power, again and again. They return seconds later, and join."""
    for _ in range(STORM_ROUNDS):
        began = time.monotonic()
        taken = rng.sample(site.cluster.workers, len(site.cluster.workers) // 2)
        for host in taken:
            host.kill()
        yield rng.uniform(5, 15)
        for host in taken:
            host.start()
            start_ray(site, host)
        yield max(0.0, STORM_EVERY_S - (time.monotonic() - began))


def upgrade(site: Site, rng: Random) -> Lasting:
    """The driver is told to end, and all hosts start again with another version of the code."""
    site.head_is_up.clear()
    ending = site.drivers()
    for driver in ending:
        with contextlib.suppress(psutil.NoSuchProcess):
            driver.terminate()
    yield 0
    psutil.wait_procs(ending, timeout=ENDS_WITHIN_S)
    for host in site.network.hosts:
        host.kill()
    site.change_code()
    _restart(site)


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
