"""The real infrastructure of the chaos sweeps: hosts, Ray, S3, and MLflow on PostgreSQL."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import psutil

from core.source.tree import tree_id
from tests.chaos.clock import Clocks
from tests.chaos.forgery import Forgery
from tests.hosts.host import DISK, Host
from tests.hosts.network import Network
from tests.hosts.ray_cluster import PORT, RAY, RayCluster
from tests.servers import MlflowServer, ObjectStore, Postgres
from tests.servers.proxy import LOSE_ANSWER, PASS, proxy

CHECKOUT = Path(__file__).parents[2]
JOB = "jobs/sweep_trades.py"
LOCAL = f"{DISK}/driver"
"""The driver's home and temporary folder. It is a separate file system, which a fault can fill."""
LOCAL_BYTES = 24 * 2**20
REMOVE_ATTEMPTS = 60
SETTINGS = {
    # A silent host counts as dead after about 20 s instead of 60 s.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "4000",
    "RAY_health_check_failure_threshold": "4",
    # Other load on this machine must not stop the trials.
    "RAY_worker_niceness": "0",
}
S3, MLFLOW, DRIVER = "s3", "mlflow", "driver"
"""Names of clocks. The clock of a host has the host's name."""
LONE_WORKER, GROUP_WORKER = "ray::ImplicitFunc", "ray::RayTrainWorker"
"""Ray's names of the process of a trial of one worker, and of a worker in a group."""


class ChaosCluster(RayCluster):
    """A cluster whose processes use the code in ``code`` and have the object store's keys."""

    store: ObjectStore
    code: Path
    clocks: Clocks
    fakes_clocks: bool

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of every process that connects to the cluster."""
        own = {"PYTHONPATH": str(self.code), "RAY_CHDIR_TO_TRIAL_DIR": "0"}
        return {**super().environment, **SETTINGS, **self.store.environment, **own}

    def ray(self, host: Host, *arguments: str, check: bool = True, timeout: float = 120) -> str:
        """Run Ray's command line on a host. On hosts that train, its processes have the host's clock."""
        clock = self.clocks[host.name].environment if self.fakes_clocks and host is not self.head else {}
        environment = {**self.environment, **clock}
        return host.run(RAY, *arguments, check=check, timeout=timeout, env=environment).stdout


class Site:
    """A context manager that starts all servers and hosts on entry, and removes them on exit.

    Attributes:
        bucket: bucket of the object store. It keeps every version of every object.
        mlflow_uri: address at which drivers reach MLflow. Between both is a proxy.
        answers_lost: set while MLflow's answers to the drivers are lost, although it does what they ask for.
        closing: set when the run is over.
        log: file with the output of all drivers.
        asked: file with the output of ``status.py``.
        clocks: clocks of the servers, of the driver and of the hosts that train.
        code: symbolic link to the checkout that drivers and workers use.
        versions: hashes of ``core`` in the checkouts to which `code` has led.
        forgeries: the stored files that were replaced by faults.
        forged_versions: the ids of these files' versions in the bucket.
        hands: thread pool for faults and repairs. A host ends when the thread that started it ends, so that the threads
            must live as long as the site.
    """

    def __init__(self, folder: Path, targets: Collection[str]) -> None:
        """Prepare the site for faults of ``targets``. Programs of Ray whose clocks stay right are not preloaded."""
        self.folder, self._targets = folder, targets
        self.log = folder / "drivers.log"
        self.asked = folder / "status.log"
        self.code = folder / "code"
        self.log.touch()
        self.asked.touch()
        self.code.symlink_to(CHECKOUT)
        self.forgeries: list[Forgery] = []
        self.forged_versions: set[str] = set()
        self._closing = contextlib.ExitStack()
        self.head_is_up, self.answers_lost, self.closing = threading.Event(), threading.Event(), threading.Event()
        self.clocks = Clocks(folder)
        self.versions = [tree_id(CHECKOUT / "core")[:12]]

    def __enter__(self) -> Site:
        """Start the servers and the cluster in parallel."""
        with contextlib.ExitStack() as stack:
            self.hands = stack.enter_context(ThreadPoolExecutor(16))
            self.network = stack.enter_context(Network(self.folder / "hosts"))
            (self.folder / "s3").mkdir()
            (self.folder / "mlflow").mkdir()
            address = self.network.address
            clock = self.clocks[S3].environment
            self.store = ObjectStore(self.folder / "s3", self.network.second_address, gateway=clock)
            self.database = Postgres()
            self.mlflow = MlflowServer(
                self.folder / "mlflow",
                self.database.uri("mlflow"),
                users=self.database.uri("mlflow_auth"),
                host=address,
                environment=self.clocks[MLFLOW].environment,
            )
            self.mlflow_uri = stack.enter_context(proxy(self.mlflow, self._fault_of_mlflow, address))
            self.cluster = ChaosCluster(self.network, workers=2, cpus=1)
            self.cluster.store, self.cluster.code, self.cluster.clocks = self.store, self.code, self.clocks
            self.cluster.fakes_clocks = "host's clock" in self._targets
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
        self.closing.set()
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
                *(sys.executable, f"{self.code}/{JOB}", *options, *where, "--mlflow-uri", self.mlflow_uri),
                env={
                    **self.cluster.environment,
                    **self.mlflow.environment,
                    **(self.clocks[DRIVER].environment if "driver's clock" in self._targets else {}),
                    "HOME": LOCAL,
                    "TMPDIR": LOCAL,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def change_code(self) -> None:
        """Make `code` lead to another version, which computes the same. No process may be using it."""
        copy = self.folder / f"version{len(self.versions)}"
        for name in ("core", "jobs", "analysis"):
            shutil.copytree(CHECKOUT / name, copy / name)
        shutil.copy(CHECKOUT / "pyproject.toml", copy)
        with (copy / "core" / "__init__.py").open("a") as file:
            file.write(f"# Version {len(self.versions)} of a chaos run.\n")
        self.versions.append(tree_id(copy / "core")[:12])
        self.code.unlink()
        self.code.symlink_to(copy)

    def drivers(self) -> list[psutil.Process]:
        """The processes of the sweep's command that run now."""
        if not self.head.alive:
            return []
        return [p for p in self.head.processes(JOB) if _is_driver(p)]

    def running_sweep(self) -> str:
        """The name of the sweep that a driver runs now; empty if no driver runs."""
        for driver in self.drivers():
            with contextlib.suppress(psutil.Error):
                command = driver.cmdline()
                return command[command.index("--name") + 1]
        return ""

    def ask_status(self, sweep: str) -> None:
        """Append what ``status.py`` prints about a sweep to `asked`."""
        told = self.head.run(
            *(sys.executable, f"{self.code}/jobs/status.py", "--sweep", sweep),
            *("--storage", f"s3://{self.bucket}/results"),
            env=self.cluster.environment,
            check=False,
        )
        with self.asked.open("a") as log:
            log.write(f"{told.stdout}{told.stderr}exit code {told.returncode}\n")

    def training_workers(self, title: str, rng: Random) -> psutil.Process | None:
        """A random training process, or None if there is none."""
        found = [p for host in self.cluster.workers if host.alive for p in host.processes(title)]
        return rng.choice(sorted(found, key=lambda p: p.pid)) if found else None

    def all_training_workers(self) -> list[psutil.Process]:
        """All training processes on the hosts that train."""
        titles = (LONE_WORKER, GROUP_WORKER)
        return [p for host in self.cluster.workers if host.alive for title in titles for p in host.processes(title)]

    def logs_of_workers(self) -> list[str]:
        """What the training processes of all hosts have printed, also of those that were taken away."""
        found = []
        for file in self.network.folder.glob("*/disk/ray/session_*/logs/worker-*.out"):
            with contextlib.suppress(FileNotFoundError):  # Ray moves the logs of ended processes.
                found += [] if file.parents[1].is_symlink() else [file.read_text(errors="replace")]
        return found

    def keys(self, end: str, part: str = "") -> list[str]:
        """Sorted keys of the objects that end with ``end`` and contain ``part``."""
        return sorted(o["Key"] for o in self.objects() if o["Key"].endswith(end) and part in o["Key"])

    def read(self, key: str) -> bytes:
        """The content of an object."""
        return bytes(self.store.client().get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def forge(self, key: str, how: str, content: bytes) -> Forgery:
        """Replace an object, and remember this."""
        written = self.store.client().put_object(Bucket=self.bucket, Key=key, Body=content)
        self.forged_versions.add(written["VersionId"])
        self.forgeries.append(Forgery(key, how))
        return self.forgeries[-1]

    def is_forged(self, key: str) -> bool:
        """True unless a program has replaced or deleted the forged object. Other faults may delay the answer."""
        for _ in range(REMOVE_ATTEMPTS):
            with contextlib.suppress(Exception):
                if key not in self.keys(key):
                    return False
                found = self.store.client().head_object(Bucket=self.bucket, Key=key)
                return found["VersionId"] in self.forged_versions
            time.sleep(1)
        raise RuntimeError(f"{key} could not be read")

    def remove_forged(self, key: str) -> None:
        """Delete an object, unless a program has replaced the forged one. Other faults may delay this."""
        for _ in range(REMOVE_ATTEMPTS):
            with contextlib.suppress(Exception):
                if self.is_forged(key):
                    self.store.client().delete_object(Bucket=self.bucket, Key=key)
                return
            time.sleep(1)
        raise RuntimeError(f"{key} could not be deleted")

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
