"""The hosts of cluster tests are separated like machines, and leave nothing behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.hosts.host import Host
from tests.hosts.network import Network, missing, remove_stale

pytestmark = pytest.mark.slow
CHECKOUT = Path(__file__).parents[2]


def reaches(host: Host, address: str, port: int) -> bool:
    connect = f"import socket; socket.create_connection(('{address}', {port}), timeout=1)"
    return host.run(sys.executable, "-c", connect, check=False).returncode == 0


def interfaces() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def test_hosts_share_a_network_and_nothing_else(network: Network) -> None:
    one, two = network.add_host("one"), network.add_host("two")
    sleeper = one.popen("sleep", "1000")
    for host in (one, two):
        host.run("bash", "-c", "echo $(hostname) >~/name; touch /dev/shm/$(hostname)")
        assert host.run("cat", "/var/tmp/home/name").stdout == f"{host.name}\n"
        assert host.run("ls", "/dev/shm").stdout.split() == [host.name]
    assert [p.name() for p in one.processes("sleep 1000")] == ["sleep"]
    assert not two.processes("sleep 1000")
    assert "sleep 1000" not in two.run("ps", "ax").stdout
    with socket.create_server((network.address, 0)) as server:
        assert reaches(one, network.address, server.getsockname()[1])
    listen = f"import socket; s = socket.create_server(('{two.address}', 7000)); print('ready', flush=True); s.accept()"
    server = two.popen(sys.executable, "-c", listen, stdout=subprocess.PIPE)
    assert server.stdout
    assert server.stdout.readline() == "ready\n"
    assert reaches(one, two.address, 7000)
    one.kill()
    assert sleeper.wait(timeout=10) != 0
    assert two.alive


def test_a_host_can_be_cut_off_from_one_address(network: Network) -> None:
    host = network.add_host("one")
    with (
        socket.create_server((network.address, 0)) as first,
        socket.create_server((network.second_address, 0)) as second,
    ):
        places = [(network.address, first.getsockname()[1]), (network.second_address, second.getsockname()[1])]
        for change, reached in (
            (lambda: None, [True, True]),
            (lambda: host.cut_from(network.second_address), [True, False]),
            (lambda: host.heal_to(network.second_address), [True, True]),
        ):
            change()
            assert [reaches(host, *place) for place in places] == reached


def test_a_cut_link_is_silent_and_heals(network: Network) -> None:
    host = network.add_host("one")
    with socket.create_server((network.address, 0)) as server:
        port = server.getsockname()[1]
        host.cut()
        assert not reaches(host, network.address, port)
        assert "LOWER_UP" in host.run("ip", "-brief", "link", "show", "eth0").stdout
        host.heal()
        assert reaches(host, network.address, port)


def test_a_host_switched_off_loses_its_processes_and_keeps_its_disk(network: Network) -> None:
    host = network.add_host("one")
    host.run("bash", "-c", "echo kept >~/file; nohup setsid sleep 1001 >/dev/null 2>&1 & echo $! >~/pid")
    deadline = time.monotonic() + 600
    while len(found := host.processes("sleep 1001")) != 1:  # two programs call the next one before `sleep` runs
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (sleeper,) = found
    host.kill()
    assert not psutil.pid_exists(sleeper.pid)
    assert not host.alive
    host.start()
    assert host.run("cat", "/var/tmp/home/file").stdout == "kept\n"
    assert not host.processes("sleep 1001")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, end: signal.Signals) -> None:
    if reason := missing():
        pytest.skip(reason)
    before = interfaces()
    code = f"""
import pathlib, signal, time
from tests.hosts.network import Network
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests are a script's background job
with Network(pathlib.Path({str(tmp_path)!r})) as network:
    network.add_host("one").popen("sleep", "1002")
    print(network.bridge, flush=True)
    time.sleep(60)
"""
    run = subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert run.stdout
    assert run.stdout.readline().strip() in interfaces()
    run.send_signal(end)
    run.communicate(timeout=30)
    remove_stale()
    deadline = time.monotonic() + 20
    while interfaces() - before or any(
        p.info["cmdline"] == ["sleep", "1002"] for p in psutil.process_iter(["cmdline"])
    ):
        assert time.monotonic() < deadline
        time.sleep(0.1)
