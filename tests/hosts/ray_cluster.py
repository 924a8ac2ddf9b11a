"""A Ray cluster on new hosts, with token authentication, a head that does not train, and workers."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.hosts.host import Host
from tests.hosts.network import Network

RAY = str(Path(sys.executable).with_name("ray"))
PORT, DASHBOARD = 6379, 8265
OBJECT_STORE = 200 * 2**20
FRUGAL = (f"--object-store-memory={OBJECT_STORE}", "--include-log-monitor=false")
"""Options of each host's ``ray start``. The log monitor reads what the workers print, for drivers that show it."""


class RayCluster:
    """``ray start`` on a head and on workers.

    Attributes:
        head: host without CPUs for trials, as in ``raycluster.yaml``.
        workers: hosts that train.
        token: file with the cluster's token.
        dashboard: address to which jobs are submitted.
    """

    def __init__(self, network: Network, *, workers: int = 2, cpus: int = 1) -> None:
        """Create the hosts. Each worker offers ``cpus`` CPUs."""
        network.folder.mkdir(parents=True, exist_ok=True)
        self.cpus = cpus
        self.token = network.folder / "token"
        self.token.write_text(secrets.token_hex(32))
        self.token.chmod(0o600)
        self.head = network.add_host("head")
        self.workers = [network.add_host(f"worker{number}") for number in range(workers)]
        self.dashboard = f"http://{self.head.address}:{DASHBOARD}"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of every process that connects to the cluster."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token), "RAY_USAGE_STATS_ENABLED": "0"}

    def start(self) -> None:
        """Start Ray on all hosts."""
        options = ("--head", f"--port={PORT}", "--num-cpus=0", f"--dashboard-host={self.head.address}")
        self.ray(self.head, "start", *options, *FRUGAL)
        with ThreadPoolExecutor() as pool:
            list(pool.map(self.join, self.workers))

    def join(self, worker: Host) -> None:
        """Start Ray on a worker, for the first time or after it was switched off and on."""
        self.ray(worker, "start", f"--address={self.head.address}:{PORT}", f"--num-cpus={self.cpus}", *FRUGAL)

    def ray(self, host: Host, *arguments: str, check: bool = True, timeout: float = 120) -> str:
        """Run Ray's command line on a host."""
        return host.run(RAY, *arguments, check=check, timeout=timeout, env=self.environment).stdout

    def submit(
        self, *command: str, working_dir: Path, token: Path | None = None, env: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start ``ray job submit`` on this machine, with the cluster's token or another one. Its output is one pipe."""
        environment = {**os.environ, **self.environment, **(env or {})}
        if token:
            environment["RAY_AUTH_TOKEN_PATH"] = str(token)
        return subprocess.Popen(
            [RAY, "job", "submit", f"--address={self.dashboard}", f"--working-dir={working_dir}", "--", *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def nodes(self) -> list[dict[str, Any]]:
        """Ray's descriptions of all nodes, including dead ones."""
        code = "import json; from ray.util.state import list_nodes; print(json.dumps([vars(n) for n in list_nodes()]))"
        program = self.head.run(sys.executable, "-c", code, env={**self.environment, "RAY_ADDRESS": self.dashboard})
        return list(json.loads(program.stdout.splitlines()[-1]))

    def wait_for(self, condition: Callable[[], bool], seconds: float = 900) -> None:
        """Wait until ``condition`` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds} s in vain"
            time.sleep(0.1)
