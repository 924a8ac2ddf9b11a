"""A host: a process tree with a separate network, process table, disk and host name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

DISK = "/var/tmp"
"""Folder that differs between hosts. It contains home, temporary files and Ray's sessions."""
BOOT = """
set -eu
mount -t tmpfs -o size=25% tmpfs /dev/shm
mount --bind "$1/disk" /var/tmp
for file in hosts passwd resolv.conf; do mount --bind "$1/etc/$file" "/etc/$file"; done
hostname "$2"
ip link set lo up
echo up
while :; do sleep 3600 & wait; done  # a shell as first process also buries the orphans
"""


class Host:
    """A machine on a `Network`, created by its ``add_host``.

    All hosts share the rest of this machine's file system at the same paths. A folder outside `DISK` is therefore a
    shared file system, and the Python of the tests is installed on all hosts.

    Attributes:
        name: host name.
        address: IPv4 address.
        disk: folder of the host's `DISK` on this machine. It remains when the host is switched off.
    """

    def __init__(self, name: str, address: str, bridge: str, gateway: str, folder: Path) -> None:
        self.name, self.address = name, address
        self.disk = folder / "disk"
        self._bridge, self._gateway, self._folder = bridge, gateway, folder
        self._link = f"{bridge}h{address.rpartition('.')[2]}"
        self._outside: subprocess.Popen[str] | None = None
        self._first: psutil.Process | None = None
        for directory in ("disk/home", "etc"):
            (folder / directory).mkdir(parents=True, exist_ok=True, mode=0o700)
        # On Debian and Ubuntu a machine's name resolves to a loopback address.
        (folder / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
        (folder / "etc/passwd").write_text(
            f"root:x:0:0:root:{DISK}/home:/bin/bash\nsshd:x:100:65534::/run/sshd:/bin/false\n"
        )
        (folder / "etc/resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        (folder / "etc/resolv.conf").chmod(0o644)

    def start(self) -> None:
        """Switch the host on. Afterwards its network is up, and no programs run."""
        assert not self.alive, f"{self.name} is running"
        namespaces = ["unshare", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._outside = subprocess.Popen(
            # The kernel ends the host when the thread that started it ends for any reason.
            ["setpriv", "--pdeathsig", "KILL", *namespaces, "bash", "-c", BOOT, "boot", str(self._folder), self.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._outside.stdout
        assert self._outside.stdout.readline() == "up\n", f"{self.name} did not start"
        (self._first,) = psutil.Process(self._outside.pid).children()
        _ip("link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", str(self._first.pid))
        _ip("link", "set", self._link, "master", self._bridge, "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        # The bridge notices the link some time later and forwards its packets, also if it was cut meanwhile.
        while self._state_of_bridge_port() != "forwarding":
            time.sleep(0.01)
        # The route leads nowhere. Programs use it to find the host's address towards the internet.
        self.run("ip", "route", "add", "default", "via", self._gateway)

    @property
    def alive(self) -> bool:
        """True if the host is switched on."""
        try:
            return self._first is not None and self._first.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def kill(self) -> None:
        """Switch the host off. All its processes end at once, and connections to it break. Its disk remains."""
        if self._outside and self._first:
            self._outside.kill()  # This ends the host's first process, and the kernel then ends all others.
            self._outside.communicate()
            while self.alive:
                time.sleep(0.01)
            # Otherwise the link disappears some time later, and the host cannot be switched on before.
            subprocess.run(["ip", "link", "delete", self._link], capture_output=True, check=False)
        self._outside = self._first = None

    def cut(self) -> None:
        """Cut the link without a visible fault at its ends, like a failing switch. All packets are lost."""
        self._bridge_port("disabled")

    def heal(self) -> None:
        """Undo `cut`."""
        self._bridge_port("forwarding")

    def cut_from(self, address: str) -> None:
        """Make this address unreachable from the host, also for connections that exist."""
        self.run("ip", "route", "replace", "unreachable", f"{address}/32")

    def heal_to(self, address: str) -> None:
        """Undo `cut_from`. Nothing happens if the host has been switched off and on meanwhile."""
        self.run("ip", "route", "delete", "unreachable", f"{address}/32", check=False)

    def run(
        self, *command: str, check: bool = True, timeout: float = 120, env: dict[str, str] | None = None, **kwargs: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host and return what it printed.

        Args:
            command: program and arguments.
            check: raise AssertionError for an exit code other than 0.
            timeout: seconds.
            env: environment variables in addition to those of the host. The environment of the tests is not inherited.
            kwargs: further arguments of ``subprocess.run``.
        """
        kwargs = {"capture_output": True, "stdin": subprocess.DEVNULL} | kwargs
        done = subprocess.run(
            self._entered(command), env=self._environment(env), timeout=timeout, text=True, check=False, **kwargs
        )
        assert not check or done.returncode == 0, f"{self.name}: {' '.join(command)}\n{done.stdout}{done.stderr}"
        return done

    def popen(self, *command: str, env: dict[str, str] | None = None, **kwargs: Any) -> subprocess.Popen[str]:
        """Start a command on the host. It ends with the host. `processes` can end it earlier."""
        return subprocess.Popen(self._entered(command), env=self._environment(env), text=True, **kwargs)

    def processes(self, title: str = "") -> list[psutil.Process]:
        """The host's processes, except the first, whose command line contains ``title``, with PIDs of this machine."""
        assert self._first
        namespace = _process_namespace(self._first.pid)
        found = []
        for process in psutil.process_iter():
            try:
                inside = process.pid != self._first.pid and _process_namespace(process.pid) == namespace
                if inside and title in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def _entered(self, command: tuple[str, ...]) -> list[str]:
        assert self._first, f"{self.name} is switched off"
        namespaces = ["--net", "--uts", "--ipc", "--pid", "--mount"]
        return ["nsenter", f"--target={self._first.pid}", *namespaces, f"--wdns={DISK}/home", "--", *command]

    def _environment(self, more: dict[str, str] | None) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        own = {"PATH": path, "HOME": f"{DISK}/home", "TMPDIR": DISK, "LANG": "C.UTF-8", "USER": "root"}
        return {**own, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), **(more or {})}

    def _state_of_bridge_port(self) -> str:
        shown = subprocess.run(
            ["bridge", "-json", "link", "show", "dev", self._link], check=True, capture_output=True, text=True
        )
        return str(json.loads(shown.stdout)[0]["state"])

    def _bridge_port(self, state: str) -> None:
        subprocess.run(["bridge", "link", "set", "dev", self._link, "state", state], check=True)


def _process_namespace(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/pid").readlink())


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
