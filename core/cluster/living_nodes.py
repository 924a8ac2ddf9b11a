"""The nodes of a cluster."""

from __future__ import annotations

from typing import Any

import ray


def living_nodes() -> dict[str, dict[str, Any]]:
    """Ray's entries of the nodes that are alive, by their ids."""
    return {entry["NodeID"]: entry for entry in ray.nodes() if entry["Alive"]}
