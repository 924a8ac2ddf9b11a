"""Placement groups that Ray keeps although their driver has ended.

Ray removes the groups of a driver when the driver ends. Its actors end a moment later, and a group that one of them
creates in between is never removed (Ray 2.60). This happens if a driver is killed just after a worker of a group has
died, because Ray Train then replaces the group at once. No trial can use the CPUs and GPUs of such a group.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import ray
from ray.util.placement_group import PlacementGroup, remove_placement_group
from ray.util.state import list_actors, list_placement_groups, list_workers
from ray.util.state.common import PlacementGroupState
from ray.util.state.exception import RayStateApiException

CREATE_NO_GROUPS = ("PlacementGroupCleaner", "_AutoscalingCoordinatorActor")
"""Detached actors of Ray Train, which may outlive their driver."""
LIVING_STATES = ("DEPENDENCIES_UNREADY", "PENDING_CREATION", "ALIVE", "RESTARTING")
"""States of actors that have not ended."""
LIMIT = 10_000
"""Largest number of entries that the State API returns."""
TIMEOUT_S = 60


def release_abandoned_groups() -> str | None:
    """Remove the placement groups of the connected cluster whose driver and all of its other actors have ended.

    Returns:
        A sentence about what they reserved; None if there are none, or if the State API does not answer.
    """
    try:
        abandoned = _abandoned(ray.get_runtime_context().gcs_address)
    except RayStateApiException:
        return None
    for group in abandoned:
        remove_placement_group(PlacementGroup(ray.PlacementGroupID.from_hex(group.placement_group_id)))
    if not abandoned:
        return None
    reserved = _sums([bundle["unit_resources"] for group in abandoned for bundle in group.bundles or ()])
    return f"Ray still reserved {reserved} for a driver that has ended, and has now released this"


def _abandoned(address: str) -> list[PlacementGroupState]:
    groups = list_placement_groups(
        address,
        filters=[("state", "!=", "REMOVED"), ("is_detached", "=", False)],
        detail=True,
        limit=LIMIT,
        timeout=TIMEOUT_S,
        raise_on_missing_output=False,
    )
    jobs = {group.creator_job_id for group in groups} - _living_jobs(address)
    ended = {job for job in jobs if not _has_actors(address, job)}
    return [group for group in groups if group.creator_job_id in ended]


def _living_jobs(address: str) -> set[str]:
    """Ids of the jobs whose driver is alive. The State API's list of jobs lacks some drivers of submitted jobs.

    Raises:
        RuntimeError: the ids of drivers have another form than in Ray 2.60.
    """
    mine = ray.get_runtime_context().get_job_id()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray takes the processes that have ended for missing output.
        drivers = list_workers(
            address,
            filters=[("worker_type", "=", "DRIVER"), ("is_alive", "=", True)],
            limit=LIMIT,
            timeout=TIMEOUT_S,
            raise_on_missing_output=False,
        )
    jobs = {driver.worker_id[: len(mine)] for driver in drivers}
    if mine not in jobs:
        raise RuntimeError("the id of this driver does not begin with the id of its job")
    return jobs


def _has_actors(address: str, job: str) -> bool:
    """True if an actor of the job is alive that may use its placement groups."""
    return any(
        actor.class_name not in CREATE_NO_GROUPS
        for state in LIVING_STATES
        for actor in list_actors(
            address, filters=[("job_id", "=", job), ("state", "=", state)], limit=LIMIT, timeout=TIMEOUT_S
        )
    )


def _sums(bundles: Sequence[Mapping[str, float]]) -> str:
    names = sorted({name for bundle in bundles for name in bundle})
    return " and ".join(f"{sum(bundle.get(name, 0) for bundle in bundles):g} {name}" for name in names)
