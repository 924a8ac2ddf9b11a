"""Placement groups with which a driver keeps trials off a node. A group reserves without starting a process."""

from __future__ import annotations

import secrets

from ray.util.placement_group import PlacementGroup, placement_group

KEPT_FREE = "unmask-kept-free-"
"""Beginning of the groups' names."""
NODE_LABEL = "ray.io/node-id"
"""Label that Ray gives to every node."""


def keep_free(resources: dict[str, float], node: str) -> PlacementGroup:
    """Reserve the resources of a node, given by its id, until the group is removed or the driver ends."""
    name = f"{KEPT_FREE}{secrets.token_hex(8)}"
    return placement_group([resources], name=name, bundle_label_selector=[{NODE_LABEL: node}])
