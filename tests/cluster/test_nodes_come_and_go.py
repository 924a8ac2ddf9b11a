"""A sweep uses a host that joins while it runs, goes on when a host is switched off, and avoids a broken one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import JOB, LIMIT_S, TINY_DATA, TWO_TRIALS, Sweep
from tests.hosts.host import Host
from tests.hosts.network import Network, missing
from tests.hosts.ray_cluster import OBJECT_STORE, PORT, RAY, RayCluster
from tests.plugin_tables import printed_plugin
from tests.without_ray import Record

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


BAD = "worker0"
"""The host on which `broken_plugin` raises."""


class GrowingCluster(RayCluster):
    """A cluster whose hosts use this checkout, and whose head, where drivers run, does not train."""

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of every process that connects to the cluster."""
        return {**super().environment, "PYTHONPATH": str(JOB.parents[1])}

    def bring(self, host: Host) -> None:
        """Have Ray run on a host, whatever earlier tests did to it."""
        if not host.alive:
            host.start()
        if not host.processes("/raylet/raylet "):
            self.join(host)

    def leave(self, host: Host) -> None:
        """Stop Ray on a host, which may be switched off."""
        if host.alive:
            self.ray(host, "stop", "--force")

    def break_python(self, host: Host, folder: Path) -> None:
        """Restart Ray on a host, where its worker processes then end at their start."""
        (folder / "sitecustomize.py").write_text(UNABLE)
        broken = {**self.environment, "PYTHONPATH": f"{folder}:{JOB.parents[1]}", "UNABLE": "yes"}
        self.ray(host, "stop", "--force")
        address = f"--address={self.head.address}:{PORT}"
        host.run(RAY, "start", address, "--num-cpus=1", f"--object-store-memory={OBJECT_STORE}", env=broken)

    def start_driver(
        self, sweep: Sweep, *options: str, program: tuple[str, ...] = (str(JOB),)
    ) -> subprocess.Popen[str]:
        """Start a sweep on the head, with its results in the folder of ``sweep``."""
        stores = ("--storage", f"{sweep.folder}/results", "--mlflow-uri", f"sqlite:///{sweep.folder}/mlflow.db")
        with sweep.log.open("ab") as log:
            return self.head.popen(
                *(
                    sys.executable,
                    *program,
                    *sweep.common,
                    *stores,
                    "--address",
                    f"{self.head.address}:{PORT}",
                    *options,
                ),
                env={**self.environment, "COLUMNS": "120"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


UNABLE = """
import os, sys
if any("default_worker.py" in part for part in sys.orig_argv) and "UNABLE" in os.environ:
    raise SystemExit("this Python cannot import Ray")
"""
"""A ``sitecustomize.py`` with which Ray's worker processes end at their start."""
PATIENT = """
import sys, core.cluster.quarantine, core.cluster.node_probe, core.sweep.crashes
core.cluster.quarantine.FIRST_S = 5
core.cluster.node_probe.ANSWER_SECONDS = 30
from jobs.sweep_trades import main
sys.exit(main(sys.argv[1:]))
"""
"""A sweep that waits for less time than usual for processes of the nodes, and avoids nodes for less time."""

AT_ONCE = PATIENT.replace("S = 5", "S = 3600").replace("sys.exit", "core.sweep.crashes.FAILING_AFTER = 1\nsys.exit")
"""A sweep that avoids a node at the first crash, and for an hour."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrowingCluster]:
    """A cluster of one worker at first, shared by the tests of this file."""
    if reason := missing():
        pytest.skip(reason)
    with Network(tmp_path_factory.mktemp("hosts")) as network:
        cluster = GrowingCluster(network, workers=1)
        cluster.start()
        cluster.workers.append(network.add_host("worker1"))
        yield cluster


def broken_plugin(bad: str = BAD, go: Path | None = None) -> str:
    """The plug-in of the documentation, which raises on one host before a trial's first epoch.

    Args:
        bad: name of the host.
        go: file for which it waits there before it raises; a file beside it says that it is there.
    """
    here = f"            open({f'{go}.reached'!r}, 'w').close()\n"
    waiting = f"{here}            while not os.path.exists({str(go)!r}):\n                time.sleep(0.1)\n"
    return (
        printed_plugin()
        .replace(
            "    def objective(self, run, batch, found):\n",
            "    def objective(self, run, batch, found):\n"
            f"        if platform.node() == {bad!r}:\n"
            f"{waiting if go else ''}"
            "            raise RuntimeError('this host is broken')\n",
        )
        .replace("from typing", "import os, platform, time\nfrom typing", 1)
    )


def at_once(sweep: Sweep) -> int:
    """The number of trials at a time of which the sweep's last line about it speaks."""
    return int(re.findall(r"(\d+) at a time", sweep.text)[-1])


def test_trials_follow_the_nodes(cluster: GrowingCluster, undisturbed: dict[str, Record], local_sweep: Sweep) -> None:
    first, second = cluster.workers
    driver = cluster.start_driver(local_sweep, *TWO_TRIALS)
    trials = local_sweep.folder / "results" / "tiny" / "trials"
    local_sweep.wait_for(lambda: any(trials.glob("*/resume.ckpt")) or driver.poll() is not None)
    (held,) = first.processes("ray::ImplicitFunc")
    held.suspend()  # The first trial holds the only worker until another one has joined.
    assert "2 trials to run, 1 at a time" in local_sweep.text
    cluster.bring(second)
    local_sweep.wait_for(lambda: local_sweep.text.count(" starts") == 2)
    assert "The cluster has changed: 2 at a time" in local_sweep.text
    assert second.processes("ray::ImplicitFunc")
    first.kill()
    assert driver.wait(timeout=LIMIT_S) == 0, local_sweep.text
    assert "(attempt 2)" in local_sweep.text
    assert local_sweep.records("tiny") == undisturbed


def test_a_group_whose_ranks_crash_on_a_node_goes_to_another(cluster: GrowingCluster, local_sweep: Sweep) -> None:
    good, bad = cluster.workers
    cluster.bring(bad)
    cluster.leave(good)
    go, plugin = local_sweep.folder / "go", local_sweep.folder / "my_method.py"
    plugin.write_text(broken_plugin(bad.name, go))
    local_sweep.common = (*TINY_DATA, "--norm", "none", "--workers", "2", "--cpus-per-worker", "0.5")
    options = ("--plugin", str(plugin), "--method", "squeezing", "--name", "bad", "--seeds", "1", "--epochs", "2")
    driver = cluster.start_driver(local_sweep, *options, program=("-c", AT_ONCE))
    local_sweep.wait_for(lambda: Path(f"{go}.reached").exists() or driver.poll() is not None)
    cluster.bring(good)
    local_sweep.wait_for(lambda: at_once(local_sweep) == 2 or driver.poll() is not None)
    go.touch()
    assert driver.wait(timeout=LIMIT_S) == 0, local_sweep.text
    assert "seed=0: RuntimeError: this host is broken" in local_sweep.text
    assert f"node {bad.name} gets no trials for 1 h" in local_sweep.text
    (file,) = local_sweep.folder.glob("results/bad/trials/*/record.json")
    record = json.loads(file.read_text())
    assert (record["provenance"]["host"], record["attempts"]) == (good.name, 2)


def test_a_node_on_which_attempts_crash_gets_no_trials_while_another_is_left(
    cluster: GrowingCluster, local_sweep: Sweep
) -> None:
    first, second = cluster.workers
    cluster.bring(first)
    cluster.bring(second)
    plugin = local_sweep.folder / "my_method.py"
    plugin.write_text(broken_plugin())
    local_sweep.common = TINY_DATA
    options = ("--plugin", str(plugin), "--method", "squeezing", "--name", "bad", "--seeds", "2", "--epochs", "40")
    driver = cluster.start_driver(local_sweep, *options, program=("-c", PATIENT))
    trials = local_sweep.folder / "results" / "bad" / "trials"
    local_sweep.wait_for(lambda: any(trials.glob("*/resume.ckpt")) or driver.poll() is not None)
    (held,) = second.processes("ray::ImplicitFunc")
    held.suspend()  # Until it is resumed, the other trial finds only the broken host free.
    avoided = [
        f"node {BAD} gets no trials for {seconds} s, because {crashes} attempts in succession crashed there"
        for seconds, crashes in ((5, 2), (10, 3))
    ]
    local_sweep.wait_for(lambda: avoided[-1] in local_sweep.text or driver.poll() is not None)
    held.resume()
    assert driver.wait(timeout=LIMIT_S) == 0, local_sweep.text
    assert all(line in local_sweep.text for line in avoided)
    assert "RuntimeError: this host is broken" in local_sweep.text
    records = [json.loads(file.read_text()) for file in trials.glob("*/record.json")]
    assert [record["provenance"]["host"] for record in records] == [second.name] * 2
    fewest, most = sorted(record["attempts"] for record in records)
    assert fewest == 1
    assert most > len(avoided) + 1  # more crashes than restarts: they count against the host


def test_a_node_that_starts_no_process_is_named_and_gets_no_trials(
    cluster: GrowingCluster, local_sweep: Sweep, tmp_path: Path
) -> None:
    good, bad = cluster.workers
    cluster.bring(good)
    cluster.bring(bad)
    cluster.break_python(bad, tmp_path)
    named = f"node {bad.name} ({bad.address}) cannot be used: it has started no process within 30 s"
    options = ("--name", "able", "--epochs", "40", "--seeds")
    driver = cluster.start_driver(local_sweep, *options, "2", program=("-c", PATIENT))
    trials = local_sweep.folder / "results" / "able" / "trials"
    local_sweep.wait_for(lambda: any(trials.glob("*/resume.ckpt")) or driver.poll() is not None)
    assert local_sweep.text.count(named) == 1
    local_sweep.wait_for(lambda: at_once(local_sweep) == 1 or driver.poll() is not None)
    (held,) = good.processes("ray::ImplicitFunc")
    held.suspend()  # The other trial is placed on the node that joins, and waits there for a process.
    cluster.break_python(bad, tmp_path)
    local_sweep.wait_for(
        lambda: "its node was lost or does not answer" in local_sweep.text or driver.poll() is not None
    )
    assert local_sweep.text.count(named) == 2
    # Until it was named, the node that joined was room for a trial.
    local_sweep.wait_for(lambda: at_once(local_sweep) == 1 or driver.poll() is not None)
    held.resume()
    assert driver.wait(timeout=LIMIT_S) == 0, local_sweep.text
    assert at_once(local_sweep) == 1
    records = [json.loads(file.read_text()) for file in trials.glob("*/record.json")]
    assert [(record["provenance"]["host"], record["attempts"]) for record in records] == [(good.name, 1)] * 2
    cluster.ray(good, "stop", "--force")
    driver = cluster.start_driver(local_sweep, *options, "3", program=("-c", PATIENT))
    assert driver.wait(timeout=LIMIT_S) == 2, local_sweep.text
    assert local_sweep.text.count(named) == 3
    assert "error: no node of the cluster can be used for trials, for the reasons above" in local_sweep.text
    cluster.ray(bad, "stop", "--force")
