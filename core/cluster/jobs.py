"""The drivers, actors and placement groups of a cluster, from Ray's State API. A job is the work of one driver.

Each function raises one of `UNANSWERED` if the State API does not answer within ``timeout_s`` seconds, or answers in
another form than in Ray 2.60.
"""

from __future__ import annotations

import os
import warnings

import ray
from ray.util.state import list_actors, list_placement_groups, list_workers
from ray.util.state.common import ActorState, PlacementGroupState, WorkerState
from ray.util.state.exception import RayStateApiException

ACTOR_STATES = ("DEPENDENCIES_UNREADY", "PENDING_CREATION", "ALIVE", "RESTARTING")
"""States of actors that have not ended."""
UNANSWERED = (RayStateApiException, ray.exceptions.RayError, OSError, KeyError, ValueError)
LIMIT = 10_000
"""Largest number of entries that the State API returns."""


def this_job() -> str:
    """The id of this driver's job."""
    return str(ray.get_runtime_context().get_job_id())


def placement_groups(timeout_s: int) -> list[PlacementGroupState]:
    """The placement groups that exist, of all drivers."""
    return list_placement_groups(
        _address(),
        filters=[("state", "!=", "REMOVED")],
        detail=True,
        limit=LIMIT,
        timeout=timeout_s,
        raise_on_missing_output=False,
    )


def drivers(timeout_s: int) -> dict[str, WorkerState]:
    """The living drivers by their jobs' ids. The State API's list of jobs lacks some drivers of submitted jobs."""
    mine = this_job()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray takes the processes that have ended for missing output.
        found = list_workers(
            _address(),
            filters=[("worker_type", "=", "DRIVER"), ("is_alive", "=", True)],
            limit=LIMIT,
            timeout=timeout_s,
            raise_on_missing_output=False,
        )
    jobs = {driver.worker_id[: len(mine)]: driver for driver in found}
    if mine not in jobs or jobs[mine].pid != os.getpid():
        # RAY_ADDRESS of the environment has led to another cluster, or ids have another form than in Ray 2.60.
        raise RayStateApiException("the State API does not know this driver")
    return jobs


def actors(job: str, timeout_s: int) -> list[ActorState]:
    """The actors of a job that have not ended."""
    address, found = _address(), []
    for state in ACTOR_STATES:
        found += list_actors(
            address, filters=[("job_id", "=", job), ("state", "=", state)], detail=True, limit=LIMIT, timeout=timeout_s
        )
    return found


def _address() -> str:
    return str(ray.get_runtime_context().gcs_address)
