"""Hosts in network namespaces on this machine, connected by a bridge, with separate processes, disks and addresses.

    with Network(folder) as network:
        first, second = network.add_host("one"), network.add_host("two")
        first.run("ray", "start", "--head")
        second.cut()

`Network.address` is the address of this machine on the bridge. All hosts can reach a server that is bound to it, and
they can reach nothing outside. A new network removes the remains of interrupted runs.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
from filelock import FileLock

from tests.hosts.host import Host

PREFIX = "unm"
ADDRESSES = ipaddress.ip_network("198.18.0.0/15")
"""Address range for tests of network devices (RFC 2544), which no real machine uses."""
LOCK = Path(tempfile.gettempdir()) / f"unmask-hosts-{os.getuid()}.lock"
TOOLS = ("ip", "bridge", "unshare", "nsenter", "setpriv")
_numbers = itertools.count()


def missing() -> str | None:
    """The reason why this machine cannot create hosts, or None."""
    if os.geteuid():
        return "hosts in network namespaces need root"
    absent = [tool for tool in TOOLS if not shutil.which(tool)]
    return f"hosts in network namespaces need {', '.join(absent)} (Debian: iproute2, util-linux)" if absent else None


class Network:
    """A bridge with hosts on it.

    Attributes:
        address: address of this machine on the bridge.
        second_address: another address of this machine, for a server from which `Host.cut_from` cuts a host off.
        folder: folder of the hosts' disks.
    """

    def __init__(self, folder: Path) -> None:
        """Create the bridge. The disks of the hosts are below ``folder``."""
        self.folder = folder
        self.hosts: list[Host] = []
        self.bridge = f"{PREFIX}{os.getpid()}b{next(_numbers)}"
        with FileLock(LOCK):
            remove_stale()
            subnet = _free_subnet()
            self.address, self.second_address = str(subnet[1]), str(subnet[2])
            _ip("link", "add", self.bridge, "type", "bridge")
            for address in (self.address, self.second_address):
                _ip("address", "add", f"{address}/24", "dev", self.bridge)
            _ip("link", "set", self.bridge, "up")
        self._addresses = (str(address) for address in itertools.islice(subnet.hosts(), 9, None))

    def __enter__(self) -> Network:
        """The network itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove everything."""
        self.close()

    def add_host(self, name: str) -> Host:
        """Create and start a host called ``name``."""
        host = Host(name, next(self._addresses), self.bridge, self.address, self.folder / name)
        self.hosts.append(host)
        host.start()
        return host

    def close(self) -> None:
        """End all hosts and remove the bridge."""
        for host in self.hosts:
            host.kill()
        _ip("link", "delete", self.bridge)


def remove_stale() -> None:
    """Remove the bridges of ended processes. Their hosts, and the links of these hosts, ended with the processes."""
    for name in _bridges():
        if not psutil.pid_exists(int(name.removeprefix(PREFIX).partition("b")[0])):
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("link", "delete", name)


def _bridges() -> list[str]:
    links = json.loads(_ip("-json", "link", "show", "type", "bridge") or "[]")
    return [link["ifname"] for link in links if link.get("ifname", "").startswith(PREFIX)]


def _free_subnet() -> ipaddress.IPv4Network:
    interfaces = json.loads(_ip("-json", "-4", "address"))
    taken = [
        ipaddress.ip_interface(f"{address['local']}/{address['prefixlen']}").network
        for interface in interfaces
        for address in interface.get("addr_info", [])
    ]
    return next(subnet for subnet in _subnets() if not any(subnet.overlaps(other) for other in taken))


def _subnets() -> Iterator[ipaddress.IPv4Network]:
    return (subnet for subnet in ADDRESSES.subnets(new_prefix=24))  # type: ignore[misc]


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
