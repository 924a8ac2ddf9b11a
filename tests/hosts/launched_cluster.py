"""The cluster of ``jobs/deploy/local-cluster.yaml``, started on hosts by ``ray up`` over SSH."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.hosts.host import DISK, Host
from tests.hosts.network import Network
from tests.hosts.ssh import make_key, serve_ssh

CHECKOUT = Path(__file__).parents[2]
FILE = CHECKOUT / "jobs" / "deploy" / "local-cluster.yaml"
RAY = str(Path(sys.executable).with_name("ray"))
# Hosts cannot reach a package index. They use the environment of the tests instead of node-setup.sh's new one.
SET_UP = f"""
mkdir -p ~/unmask-env && ln -sfn {sys.prefix}/* ~/unmask-env/
echo '. ~/unmask/jobs/deploy/environment.sh' >~/.bashrc
"""

AWAIT = """
import json, sys, time
from ray.util.state import list_nodes

def alive():
    try:
        return {node.node_ip for node in list_nodes() if node.state == "ALIVE"}
    except Exception:
        return None  # the head still starts

while alive() != set(json.loads(sys.argv[1])):
    time.sleep(0.5)
"""
"""Program that ends when exactly the nodes with these addresses are alive."""


class LaunchedCluster:
    """A head, workers, and the user's machine, which is this machine with a separate home folder.

    Attributes:
        hosts: all hosts, starting with the head.
        file: the cluster file with the addresses of these hosts.
    """

    def __init__(self, network: Network, *, workers: int = 2) -> None:
        """Create the hosts with only an SSH server on each."""
        self.folder = network.folder / "user"
        self.home = self.folder / "home"
        self.home.mkdir(parents=True)
        self.token = self.home / ".unmask" / "ray_token"
        subprocess.run(
            ["bash", str(FILE.with_name("make-secrets.sh"))], env={**os.environ, "HOME": str(self.home)}, check=True
        )
        self.key = make_key(self.folder / "key")
        self.head = network.add_host("head")
        self.workers = [network.add_host(f"worker{number}") for number in range(workers)]
        self.hosts = [self.head, *self.workers]
        for host in self.hosts:
            serve_ssh(host, self.key)
        self.file = self.folder / "cluster.yaml"
        self.file.write_text(yaml.safe_dump(self._description()))

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the user's shell: that of this process, with another home and the cluster's token."""
        foreign = ("RAY_", "MLFLOW_", "AWS_")
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
            "HOME": str(self.home),
            "TMPDIR": str(self.folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_UP_enable_autoscaler_v2": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token),
        }

    def ray(self, *arguments: str, code: int = 0, env: dict[str, str] | None = None) -> str:
        """Run Ray's command line as the user, in the checkout, and return its output."""
        done = subprocess.run(
            [RAY, *arguments],
            env={**self.environment, **(env or {})},
            cwd=CHECKOUT,
            timeout=900,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == code, f"ray {' '.join(arguments)}: {done.returncode}\n{done.stdout[-6000:]}"
        return str(done.stdout)

    def up(self) -> None:
        """Run ``ray up``, and wait until all workers have joined."""
        self.ray("up", "--yes", "--no-config-cache", str(self.file))
        self.await_alive(self.hosts)

    def switch_on(self, host: Host) -> None:
        """Switch a host on again. The head's autoscaler then starts Ray on it."""
        host.start()
        serve_ssh(host, self.key)

    def down(self) -> None:
        """Run ``ray down``."""
        self.ray("down", "--yes", str(self.file))

    def await_alive(self, hosts: Sequence[Host]) -> None:
        """Wait until these hosts and no others are alive according to the head.

        One process on the head asks again and again, because the import of Ray takes seconds of a processor.
        """
        addresses = [host.address for host in hosts]
        self.head.run(sys.executable, "-c", AWAIT, json.dumps(addresses), env=self.on_host, timeout=900)

    @property
    def on_host(self) -> dict[str, str]:
        """Environment variables with which a process on a host can connect to the cluster."""
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": f"{DISK}/home/.unmask/ray_token"}
        return {**token, "RAY_ADDRESS": f"{self.head.address}:6379"}

    @contextmanager
    def dashboard(self) -> Iterator[str]:
        """Run ``ray dashboard`` and yield the address on this machine at which the head accepts jobs, through SSH."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [RAY, "dashboard", "--port", str(port), str(self.file)]
        with (self.folder / "dashboard.log").open("wb") as log:
            forward = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            self.wait_for(lambda: _accepts(port))
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(forward.pid, 15)
            forward.wait(timeout=30)

    def wait_for(self, condition: Callable[[], bool], seconds: float = 900) -> None:
        """Wait until ``condition`` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"waited {seconds} s in vain"
            time.sleep(0.2)

    def give(self, path: str, content: str) -> None:
        """Copy a file into the home of every host, readable only by its user."""
        for host in self.hosts:
            file = host.disk / "home" / path
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file.write_text(content)
            file.chmod(0o600)

    def _description(self) -> dict[str, Any]:
        cluster: dict[str, Any] = yaml.safe_load(FILE.read_text())
        cluster["provider"] |= {
            "head_ip": self.head.address,
            "worker_ips": [worker.address for worker in self.workers],
        }
        cluster["auth"] = {"ssh_user": "root", "ssh_private_key": str(self.key)}
        assert cluster["setup_commands"] == ["bash ~/unmask/jobs/deploy/node-setup.sh"]
        cluster["setup_commands"] = [SET_UP]
        stop, start = cluster["head_start_ray_commands"]
        # Trials run only on workers, because tests switch workers off.
        cluster["head_start_ray_commands"] = [stop, start.replace("--head", "--head --num-cpus=0")]
        return cluster


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0
