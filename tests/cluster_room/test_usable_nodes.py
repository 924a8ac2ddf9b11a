"""A node that cannot run the project counts nowhere as room for trials. Ray is asked for nodes, but does not run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from core.cluster import join, nodes, quarantine, unusable_nodes
from core.cluster.capacity import GROUP_BYTES, HEAD, capacity, fitting_trials
from core.cluster.connect import check_gpu_models, with_gpus_of_cluster
from core.cluster.quarantine import Quarantine
from core.cluster.unusable_nodes import keep_trials_off, release_departed, require_usable_nodes
from core.config import RunOptions
from core.storage import Store

RUN = RunOptions(gpus_per_worker=0)


class Cluster:
    """What Ray says of some nodes, and the reservations that are made on them."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, float]] = {}
        self.reserved: list[str] = []

    def entries(self) -> list[dict[str, Any]]:
        """The answer of ``ray.nodes``."""
        return [
            {"NodeID": node, "Alive": True, "NodeManagerHostname": f"host of {node}", "Resources": resources}
            for node, resources in self.nodes.items()
        ]

    def reserve(self, needed: dict[str, float], node: str) -> str:
        self.reserved.append(node)
        return node


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Three nodes with enough memory: two of two CPUs, and one of four CPUs and a GPU."""
    cluster = Cluster()
    cluster.nodes = {
        name: {"CPU": cpus, "memory": 1e12, **more}
        for name, cpus, more in (("one", 2, {}), ("two", 2, {}), ("four", 4, {"GPU": 1, "accelerator_type:T4": 1}))
    }
    monkeypatch.setattr(nodes.ray, "nodes", cluster.entries)
    for module in (unusable_nodes, quarantine):
        monkeypatch.setattr(module, "keep_free", cluster.reserve)
        monkeypatch.setattr(module, "remove_placement_group", cluster.reserved.remove)
    monkeypatch.setenv("HOME", str(tmp_path))  # without a file of Ray's autoscaler
    yield cluster
    release_departed(())
    nodes.UNUSABLE.clear()


def test_an_unusable_node_is_no_capacity(cluster: Cluster) -> None:
    assert (capacity(RUN, 1).now, fitting_trials(RUN, 1), fitting_trials(RUN, 8)) == (8, 8, 1)
    keep_trials_off(["four"])
    assert (capacity(RUN, 1).now, fitting_trials(RUN, 1), fitting_trials(RUN, 4)) == (4, 4, 1)
    with pytest.raises(ValueError, match=r"--workers 5 .* can never run: the cluster has 4 CPUs"):
        fitting_trials(RUN, 5)
    assert cluster.reserved == ["four"]


def test_a_new_connection_takes_every_node_for_usable(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes of an earlier connection of the process may have been repaired, or belong to another cluster."""
    keep_trials_off(["four"])
    monkeypatch.setattr(join, "connect", lambda address: True)
    monkeypatch.setattr(join, "check_storage_on_nodes", lambda store, key_server: {})
    join.join_cluster("local", Store("/no/folder"), Console(quiet=True))
    assert capacity(RUN, 1).now == 8
    release_departed(())
    assert cluster.reserved == ["four"], "the reservation belongs to the earlier connection"


def test_a_head_node_in_quarantine_still_has_memory_for_the_controllers_of_groups(cluster: Cluster) -> None:
    cluster.nodes["one"] |= {HEAD: 1.0, "memory": 3 * GROUP_BYTES / 0.7, "object_store_memory": 0.0}
    controllers = capacity(RUN, 2).by_head
    assert controllers is not None
    assert controllers > 0
    assert capacity(RUN, 2, without=["one"]).by_head == controllers
    keep_trials_off(["one"])
    assert capacity(RUN, 2).by_head == 0


def test_gpus_of_an_unusable_node_are_no_gpus(cluster: Cluster) -> None:
    gpu = RunOptions(gpus_per_worker=1)
    assert with_gpus_of_cluster(RunOptions()).gpus_per_worker == 1
    with pytest.raises(ValueError, match="T4"):
        check_gpu_models(gpu, ["bf16"])
    keep_trials_off(["four"])
    assert with_gpus_of_cluster(RunOptions()).gpus_per_worker == 0
    check_gpu_models(gpu, ["bf16"])


def test_an_unusable_node_is_no_other_node_for_a_trial(cluster: Cluster) -> None:
    avoided = Quarantine(RUN)
    assert avoided.elsewhere(["one"], 6)
    keep_trials_off(["four"])
    assert not avoided.elsewhere(["one"], 6)
    assert avoided.elsewhere(["one"], 2)
    keep_trials_off(["two"])
    assert avoided.admit("one", 1) is None


def test_a_node_is_avoided_only_if_the_others_hold_a_trial_with_as_many_ranks(cluster: Cluster) -> None:
    avoided = Quarantine(RUN)
    assert avoided.admit("four", 5) is None
    assert avoided.admit("four", 4) == "node host of four gets no trials for 30 s"
    assert cluster.reserved == ["four"] * 4
    assert not avoided.elsewhere(["two"], 3)
    assert avoided.admit("two", 2) == "node host of two gets no trials for 30 s"
    assert avoided.admit("one", 1) is None
    # It will hold trials again, and those that run there go on. What waits now has two CPUs.
    assert capacity(RUN, 1).now == 8
    assert capacity(RUN, 1, without=avoided.nodes).now == 2


def test_a_node_that_leaves_is_not_waited_for(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "LOOK_EVERY_S", 0)
    avoided = Quarantine(RUN)
    avoided.admit("one", 1)
    keep_trials_off(["four", "two"])
    avoided.look()
    release_departed(cluster.nodes)
    assert cluster.reserved == ["one", "one", "four", "two"]
    del cluster.nodes["one"], cluster.nodes["four"]
    avoided.look()
    release_departed(cluster.nodes)
    assert cluster.reserved == ["two"]
    assert not avoided.nodes


def test_a_cluster_needs_a_usable_node(cluster: Cluster) -> None:
    keep_trials_off(["one", "four"])
    require_usable_nodes()
    keep_trials_off(["two"])
    with pytest.raises(ValueError, match="no node of the cluster can be used for trials"):
        require_usable_nodes()
