"""The real infrastructure of the chaos sweeps: hosts, Ray, S3, and MLflow on PostgreSQL."""

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
from tests.servers.proxy import LOSE_ANSWER, PASS, proxy

CHECKOUT = Path(__file__).parents[2]
JOB = CHECKOUT / "jobs" / "sweep_trades.py"
LOCAL = f"{DISK}/driver"
"""The driver's home and temporary folder. It is a separate file system, which a fault can fill."""
LOCAL_BYTES = 24 * 2**20
SETTINGS = {
    # A silent host counts as dead after about 20 s instead of 60 s.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "4000",
    "RAY_health_check_failure_threshold": "4",
    # Other load on this machine must not stop the trials.
    "RAY_worker_niceness": "0",
}
LONE_WORKER, GROUP_WORKER = "ray::ImplicitFunc", "ray::RayTrainWorker"
"""Ray's names of the process of a trial of one worker, and of a worker in a group."""


class ChaosCluster(RayCluster):
    """A cluster whose processes use this checkout and have the object store's keys."""

    store: ObjectStore

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of every process that connects to the cluster."""
        own = {"PYTHONPATH": str(CHECKOUT), "RAY_CHDIR_TO_TRIAL_DIR": "0"}
        return {**super().environment, **SETTINGS, **self.store.environment, **own}


class Site:
    """A context manager that starts all servers and hosts on entry, and removes them on exit.

    Attributes:
        bucket: bucket of the object store. It keeps every version of every object.
        mlflow_uri: address at which drivers reach MLflow. Between both is a proxy.
        answers_lost: set while MLflow's answers to the drivers are lost, although it does what they ask for.
        log: file with the output of all drivers.
        hands: thread pool for faults and repairs. A host ends when the thread that started it ends, so that the threads
            must live as long as the site.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "drivers.log"
        self.log.touch()
        self._closing = contextlib.ExitStack()
        self.head_is_up, self.answers_lost = threading.Event(), threading.Event()
        self.clock = Clock(folder / "clock")

    def __enter__(self) -> Site:
        """Start the servers and the cluster in parallel."""
        with contextlib.ExitStack() as stack:
            self.hands = stack.enter_context(ThreadPoolExecutor(16))
            self.network = stack.enter_context(Network(self.folder / "hosts"))
            (self.folder / "s3").mkdir()
            (self.folder / "mlflow").mkdir()
            address = self.network.address
            self.store = ObjectStore(self.folder / "s3", self.network.second_address, gateway=self.clock.environment)
            self.database = Postgres()
            self.mlflow = MlflowServer(
                self.folder / "mlflow",
                self.database.uri("mlflow"),
                users=self.database.uri("mlflow_auth"),
                host=address,
            )
            self.mlflow_uri = stack.enter_context(proxy(self.mlflow, self._fault_of_mlflow, address))
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
        """Stop all servers and hosts."""
        self._closing.close()

    @property
    def head(self) -> Host:
        """The host of the driver and of Ray's head node."""
        return self.cluster.head

    def start_cluster(self) -> None:
        """Start Ray on all hosts, which must be switched on, with a new and empty disk for the driver."""
        self.head.run("mkdir", "-p", LOCAL)
        self.head.run("mount", "-t", "tmpfs", "-o", f"size={LOCAL_BYTES}", "tmpfs", LOCAL)
        self.cluster.start()
        self.head_is_up.set()

    def start_driver(self, *options: str) -> subprocess.Popen[str]:
        """Start the sweep's command on the head, like a user."""
        where = ["--address", f"{self.head.address}:{PORT}", "--storage", f"s3://{self.bucket}/results"]
        with self.log.open("a") as log:
            return self.head.popen(
                *(sys.executable, str(JOB), *options, *where, "--mlflow-uri", self.mlflow_uri),
                env={**self.cluster.environment, **self.mlflow.environment, "HOME": LOCAL, "TMPDIR": LOCAL},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def drivers(self) -> list[psutil.Process]:
        """The processes of the sweep's command that run now."""
        if not self.head.alive:
            return []
        return [p for p in self.head.processes(str(JOB)) if _is_driver(p)]

    def training_workers(self, title: str, rng: Random) -> psutil.Process | None:
        """A random training process, or None if there is none."""
        found = [p for host in self.cluster.workers if host.alive for p in host.processes(title)]
        return rng.choice(sorted(found, key=lambda p: p.pid)) if found else None

    def objects(self) -> list[dict[str, Any]]:
        """All current objects of the bucket."""
        pager = self.store.client().get_paginator("list_objects_v2")
        return [entry for page in pager.paginate(Bucket=self.bucket) for entry in page.get("Contents", ())]

    def _fault_of_mlflow(self, method: str, path: str) -> str:
        return LOSE_ANSWER if self.answers_lost.is_set() and method == "POST" else PASS

    def _start_tracking(self) -> None:
        self.database.start()
        self.mlflow.start()


def _is_driver(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name() != "nsenter"
    return False
