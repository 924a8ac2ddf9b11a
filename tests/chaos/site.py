"""What a sweep runs on, all of it real and all of it breakable: hosts, Ray, S3, MLflow on PostgreSQL."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import psutil

from tests.chaos.clock import Clock
from tests.hosts.host import DISK, Host
from tests.hosts.network import Network
from tests.hosts.ray_cluster import PORT, RayCluster
from tests.servers import MlflowServer, ObjectStore, Postgres

CHECKOUT = Path(__file__).parents[2]
JOB = CHECKOUT / "jobs" / "sweep_trades.py"
LOCAL = f"{DISK}/driver"
"""The driver's home and temporary folder: a file system of its own, which can be filled."""
LOCAL_BYTES = 24 * 2**20
SETTINGS = {
    # a silent host is taken for dead after about 20 s instead of 60
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "4000",
    "RAY_health_check_failure_threshold": "4",
    # other work on this machine shall not stop the trials
    "RAY_worker_niceness": "0",
}
LONE_WORKER, GROUP_WORKER = "ray::ImplicitFunc", "ray::RayTrainWorker"
"""What Ray calls the process of a trial of one worker, and a worker of a group."""


class ChaosCluster(RayCluster):
    """A cluster whose hosts know this checkout and the object store's keys."""

    store: ObjectStore

    @property
    def environment(self) -> dict[str, str]:
        """What every process that talks to the cluster needs."""
        own = {"PYTHONPATH": str(CHECKOUT), "RAY_CHDIR_TO_TRIAL_DIR": "0"}
        return {**super().environment, **SETTINGS, **self.store.environment, **own}


class Site:
    """A context manager: everything runs when it is entered, and is gone when it is left.

    Attributes:
        bucket: of the object store; keeps every version of every object.
        log: what all drivers printed.
        hands: threads that break and mend things. A host ends with the thread that switched it on: they last.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "drivers.log"
        self.log.touch()
        self._closing = contextlib.ExitStack()
        self.head_is_up = threading.Event()
        self.clock = Clock(folder / "clock")

    def __enter__(self) -> Site:
        """Start the servers and the cluster, side by side."""
        with contextlib.ExitStack() as stack:
            self.hands = stack.enter_context(ThreadPoolExecutor(16))
            self.network = stack.enter_context(Network(self.folder / "hosts"))
            (self.folder / "s3").mkdir()
            (self.folder / "mlflow").mkdir()
            address = self.network.address
            self.store = ObjectStore(self.folder / "s3", address, gateway=self.clock.environment)
            self.database = Postgres()
            self.mlflow = MlflowServer(
                self.folder / "mlflow",
                self.database.uri("mlflow"),
                users=self.database.uri("mlflow_auth"),
                host=address,
            )
            self.cluster = ChaosCluster(self.network, workers=2, cpus=1)
            self.cluster.store = self.store
            stack.callback(self.store.close)
            stack.callback(self.database.close)
            stack.callback(self.mlflow.kill)
            with ThreadPoolExecutor() as pool:
                servers = [pool.submit(self.store.start), pool.submit(self._start_tracking)]
                self.start_cluster()
                for server in servers:
                    server.result()
            self.bucket = self.store.make_bucket()
            self.store.client().put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End everything."""
        self._closing.close()

    @property
    def head(self) -> Host:
        """The host of the driver and of Ray's head."""
        return self.cluster.head

    def start_cluster(self) -> None:
        """Start Ray on all hosts, which are switched on; with a new, empty disk for the driver."""
        self.head.run("mkdir", "-p", LOCAL)
        self.head.run("mount", "-t", "tmpfs", "-o", f"size={LOCAL_BYTES}", "tmpfs", LOCAL)
        self.cluster.start()
        self.head_is_up.set()

    def start_driver(self, *options: str) -> subprocess.Popen[str]:
        """The sweep's command, as a user gives it on the head."""
        where = ["--address", f"{self.head.address}:{PORT}", "--storage", f"s3://{self.bucket}/results"]
        with self.log.open("a") as log:
            return self.head.popen(
                *(sys.executable, str(JOB), *options, *where, "--mlflow-uri", self.mlflow.uri),
                env={**self.cluster.environment, **self.mlflow.environment, "HOME": LOCAL, "TMPDIR": LOCAL},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def drivers(self) -> list[psutil.Process]:
        """The process of the sweep's command, if it runs."""
        if not self.head.alive:
            return []
        return [p for p in self.head.processes(str(JOB)) if _is_driver(p)]

    def training_workers(self, title: str, rng: Random) -> psutil.Process | None:
        """One of the processes that train, chosen by ``rng``; None if there is none now."""
        found = [p for host in self.cluster.workers if host.alive for p in host.processes(title)]
        return rng.choice(sorted(found, key=lambda p: p.pid)) if found else None

    def objects(self) -> list[dict[str, Any]]:
        """All objects of the bucket as they are now."""
        pager = self.store.client().get_paginator("list_objects_v2")
        return [entry for page in pager.paginate(Bucket=self.bucket) for entry in page.get("Contents", ())]

    def _start_tracking(self) -> None:
        self.database.start()
        self.mlflow.start()


def _is_driver(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name() != "nsenter"
    return False
