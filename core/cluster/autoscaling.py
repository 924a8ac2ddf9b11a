"""What a cluster that Ray's launcher scales may grow to.

Ray tells a driver only of nodes that are up. The launcher leaves the cluster file on the head, where jobs run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CLUSTER_FILE = "ray_bootstrap_config.yaml"
"""In the home folder of the head's user; see ``--autoscaling-config`` in ``raycluster.yaml``."""


@dataclass(frozen=True)
class NodeType:
    """Machines of one kind: what each offers, and how many there may be."""

    resources: Mapping[str, float]
    max_workers: int


@dataclass(frozen=True)
class Autoscaling:
    """Kinds of workers, and how many workers there may be of all kinds together."""

    types: tuple[NodeType, ...] = ()
    max_workers: int = 0

    def offered(self, name: str) -> bool:
        """Has any kind of worker this resource?"""
        return any(kind.resources.get(name, 0) for kind in self.types)


def autoscaling_limits() -> Autoscaling:
    """What this machine's cluster file allows; nothing where there is none."""
    file = Path.home() / CLUSTER_FILE
    if not file.exists():
        return Autoscaling()
    cluster: dict[str, Any] = yaml.safe_load(file.read_text())
    workers = [kind for name, kind in cluster["available_node_types"].items() if name != cluster["head_node_type"]]
    return Autoscaling(
        tuple(NodeType(kind["resources"], kind["max_workers"]) for kind in workers), cluster["max_workers"]
    )
