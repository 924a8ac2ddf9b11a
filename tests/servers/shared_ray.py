"""One Ray cluster for all tests that neither break it nor need it to be new."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tests.servers.marked_processes import kill_marked

RAY = str(Path(sys.executable).with_name("ray"))
MARK = "UNMASK_TEST_RAY"
"""Environment variable that marks all processes of the cluster."""
CPUS = 2
"""CPUs that the cluster offers, on every machine."""
STARTS = 3
"""Largest number of starts. On a busy machine Ray's own limit of 30 s for the start of a node may pass."""


class SharedRay:
    """A cluster of this machine, started by ``ray start`` as a context manager, which asks for a token.

    Args:
        workers: environment variables of all processes of the cluster, such as the keys of an S3 server.

    Attributes:
        address: ``HOST:PORT`` of the head node.
        dashboard: address to which jobs are submitted.
        environment: variables with which a process joins the cluster.
        mark: name and value of an environment variable of all processes of the cluster.
    """

    def __init__(self, workers: Mapping[str, str] = MappingProxyType({})) -> None:
        self._workers = workers

    def __enter__(self) -> SharedRay:
        """Start the cluster."""
        # In pytest's temporary folder, the paths of Ray's sockets would be longer than the system allows.
        self._folder = Path(tempfile.mkdtemp(prefix="unmask-ray-"))
        self.mark = (MARK, str(self._folder))
        token = self._folder / "token"
        token.write_text(secrets.token_hex(32))
        for attempt in range(STARTS):
            port, dashboard, agent, client, metrics = _free_ports(5)
            self.address = f"127.0.0.1:{port}"
            self.dashboard = f"http://127.0.0.1:{dashboard}"
            self.environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
            started = self._start(
                *(f"--port={port}", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"),
                *(f"--ray-client-server-port={client}", f"--metrics-export-port={metrics}"),
            )
            if started.returncode == 0:
                break
            kill_marked(*self.mark)
            if attempt + 1 == STARTS:
                raise RuntimeError(f"ray start:\n{started.stdout}{started.stderr}")
        self.environment["RAY_ADDRESS"] = self.address
        return self

    def __exit__(self, *_: object) -> None:
        """Kill the cluster and remove its files."""
        kill_marked(*self.mark)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, *ports: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(RAY, "start", "--head", *ports),
                *(f"--num-cpus={CPUS}", f"--temp-dir={self._folder}", "--disable-usage-stats"),
                "--include-log-monitor=false",  # no driver of the tests shows what the workers print
            ],
            env={**os.environ, **self._workers, **self.environment, "OMP_NUM_THREADS": "1", self.mark[0]: self.mark[1]},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [free.getsockname()[1] for free in sockets]
    for free in sockets:
        free.close()
    return ports
