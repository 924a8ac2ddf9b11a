"""The nodes of a cluster."""

from __future__ import annotations

from typing import Any

import ray

UNUSABLE: set[str] = set()
"""Ids of the nodes that cannot run the project. They are alive, but count nowhere as nodes for trials.

A node that leaves and joins again has another id."""


def living_nodes() -> dict[str, dict[str, Any]]:
    """Ray's entries of the nodes that are alive, by their ids."""
    return {entry["NodeID"]: entry for entry in ray.nodes() if entry["Alive"]}


def usable_nodes() -> dict[str, dict[str, Any]]:
    """Ray's entries of the living nodes that are not known to be `UNUSABLE`, by their ids."""
    return {node: entry for node, entry in living_nodes().items() if node not in UNUSABLE}


def usable_amount(kind: str) -> float:
    """The amount of a resource, such as ``GPU``, that all usable nodes have together."""
    return float(sum(entry["Resources"].get(kind, 0) for entry in usable_nodes().values()))
