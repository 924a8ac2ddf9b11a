"""The size that a cluster of Ray's cluster launcher may grow to.

Ray reports only running nodes to a driver. The limits are read from the cluster file, which the launcher copies to the
head node, where jobs run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

CLUSTER_FILE = "ray_bootstrap_config.yaml"
"""Name of the cluster file in the home folder of the head's user (``--autoscaling-config`` in ``raycluster.yaml``)."""


@dataclass(frozen=True)
class NodeType:
    """A type of worker node: the resources of one node, and the largest number of such nodes."""

    resources: Mapping[str, float]
    max_workers: int


@dataclass(frozen=True)
class Autoscaling:
    """All types of worker nodes, and the largest number of worker nodes of all types together."""

    types: tuple[NodeType, ...] = ()
    max_workers: int = 0

    def offered(self, name: str) -> bool:
        """True if a type of worker node has the resource ``name``."""
        return any(node_type.resources.get(name, 0) for node_type in self.types)


def autoscaling_limits() -> Autoscaling:
    """The limits in this machine's cluster file; no node types if there is no such file."""
    file = Path.home() / CLUSTER_FILE
    return _limits(file, file.stat().st_mtime_ns) if file.exists() else Autoscaling()


@lru_cache(maxsize=1)  # a driver asks every 2 s
def _limits(file: Path, changed_ns: int) -> Autoscaling:
    cluster: dict[str, Any] = yaml.safe_load(file.read_text())
    workers = [entry for name, entry in cluster["available_node_types"].items() if name != cluster["head_node_type"]]
    return Autoscaling(
        tuple(NodeType(entry["resources"], entry["max_workers"]) for entry in workers), cluster["max_workers"]
    )
