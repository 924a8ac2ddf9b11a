"""Nodes that cannot run the project, such as those whose Python cannot import Ray."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import ray
from ray.util.placement_group import PlacementGroup, remove_placement_group

from core.cluster.jobs import actors, placement_groups, this_job
from core.cluster.kept_free import KEPT_FREE, keep_free
from core.cluster.nodes import UNUSABLE, living_nodes, usable_nodes

ANSWER_S = 5
"""Seconds to wait for the State API, because the driver does nothing else meanwhile."""
_reservations: dict[str, PlacementGroup] = {}


def forget_unusable_nodes() -> None:
    """Take every node for usable, at the start of a connection: the nodes of an earlier one may have been repaired."""
    UNUSABLE.clear()
    _reservations.clear()


def keep_trials_off(unusable: Iterable[str]) -> dict[str, PlacementGroup]:
    """Reserve all CPUs and GPUs of nodes, given by their ids, until they leave or the driver ends.

    A trial that Ray places on such a node would wait for ever. A placement group reserves without a process. The nodes
    no longer count as nodes for trials.

    Returns:
        The placement group of each of these nodes that has CPUs or GPUs.
    """
    nodes = living_nodes()
    amounts = {node: _computing(nodes[node]["Resources"]) for node in unusable if node in nodes}
    UNUSABLE.update(amounts)
    groups = {node: keep_free(needed, node) for node, needed in amounts.items() if needed}
    _reservations.update(groups)
    return groups


def release_departed(living: Collection[str]) -> None:
    """Remove the reservations of nodes that are not among those alive.

    Otherwise an autoscaler would start a node for a group that waits for one.
    """
    for node in _reservations.keys() - living:
        remove_placement_group(_reservations.pop(node))


def require_usable_nodes() -> None:
    """Check that a node that can run the project has CPUs or GPUs.

    Raises:
        ValueError: there is none.
    """
    if not any(_computing(entry["Resources"]) for entry in usable_nodes().values()):
        raise ValueError("no node of the cluster can be used for trials, for the reasons above")


def withdraw_trials(node: str, reservation: PlacementGroup) -> bool:
    """Remove the placement groups of this driver's trials on a node that has started no process.

    Ray Tune then takes the trials for failed, and places them again. A group with a running process on the node stays.
    One of several workers that has processes on other nodes only waits for the others for ever.

    Args:
        node: id of the node.
        reservation: the group that keeps trials off the node, once Ray has placed it.

    Returns:
        True if Ray had placed the reservation, after which no further trial can come to the node.

    Raises:
        One of `core.cluster.jobs.UNANSWERED`: the State API does not answer.
    """
    mine, reserved = this_job(), False
    here = [actor for actor in actors(mine, ANSWER_S) if actor.node_id == node]
    used = {actor.placement_group_id for actor in here if actor.state == "ALIVE"}
    for group in placement_groups(ANSWER_S):
        reserved |= group.placement_group_id == reservation.id.hex() and group.state == "CREATED"
        if group.creator_job_id != mine or group.name.startswith(KEPT_FREE) or group.placement_group_id in used:
            continue
        if any(bundle["node_id"] == node for bundle in group.bundles or ()):
            remove_placement_group(PlacementGroup(ray.PlacementGroupID.from_hex(group.placement_group_id)))
    return reserved


def _computing(resources: dict[str, float]) -> dict[str, float]:
    return {name: resources[name] for name in ("CPU", "GPU") if resources.get(name)}
