"""Placement groups that Ray keeps although their driver has ended.

Ray removes the groups of a driver when the driver ends. Its actors end a moment later, and a group that one of them
creates in between is never removed (Ray 2.60). This happens if a driver is killed just after a worker of a group has
died, because Ray Train then replaces the group at once. No trial can use the CPUs and GPUs of such a group.
"""

from __future__ import annotations

import ray
from ray.util.placement_group import PlacementGroup, remove_placement_group

from core.cluster.amounts import Amounts
from core.cluster.jobs import UNANSWERED, actors, drivers, placement_groups

CREATE_NO_GROUPS = ("PlacementGroupCleaner", "_AutoscalingCoordinatorActor")
"""Detached actors of Ray Train, which may outlive their driver."""


def release_abandoned_groups(timeout_s: int = 60) -> str | None:
    """Remove the placement groups of the connected cluster whose driver and all of its other actors have ended.

    Args:
        timeout_s: seconds to wait for each answer of the State API.

    Returns:
        A sentence about what they reserved; None if there are none, or if the State API does not answer.
    """
    try:
        groups = [group for group in placement_groups(timeout_s) if not group.is_detached]
        jobs = {group.creator_job_id for group in groups} - drivers(timeout_s).keys()
        ended = {job for job in jobs if all(actor.class_name in CREATE_NO_GROUPS for actor in actors(job, timeout_s))}
        abandoned = [group for group in groups if group.creator_job_id in ended]
        for group in abandoned:
            remove_placement_group(PlacementGroup(ray.PlacementGroupID.from_hex(group.placement_group_id)))
    except UNANSWERED:
        return None
    released = Amounts.by(abandoned)
    return f"Ray still reserved {released} for a driver that has ended, and has now released this" if released else None
