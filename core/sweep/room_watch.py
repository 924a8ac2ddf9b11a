"""Says what keeps trials from starting although the cluster is large enough."""

from __future__ import annotations

import time
from collections.abc import Callable

from ray.util.state.exception import RayStateApiException

from core.cluster.abandoned_groups import release_abandoned_groups
from core.cluster.jobs import actors, drivers, placement_groups, this_job
from core.cluster.reserved import Reserved
from core.quantity import duration

LOOK_EVERY_S = 60.0
"""Seconds between two looks. A trial that waits at two looks in succession has waited for too long."""
UNPLACED = ("PENDING", "RESCHEDULING")
"""States of placement groups for which Ray has found no room."""


class RoomWatch:
    """Watches the placement groups of this driver's trials. The driver must call `look` often.

    Args:
        has_room: tells whether the cluster holds more trials than those that have a place on it.
    """

    def __init__(self, has_room: Callable[[], bool]) -> None:
        self._has_room = has_room
        self._looked = time.monotonic()
        self._waiting: dict[str, float] = {}
        self._said = ""

    def look(self) -> str | None:
        """Release what Ray reserves for drivers that have ended, if a trial waits.

        Returns:
            A line about why trials wait; None if none has waited for long, or if the line would be the last one.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return None
        self._looked = now
        try:
            waiting = self._unplaced() if self._has_room() else set()
            self._waiting = {group: self._waiting.get(group, now) for group in waiting}
            since = min(self._waiting.values(), default=now)
            reason = self._reason() if since < now else ""
        except RayStateApiException:
            return None
        said, self._said = self._said, reason
        if reason in ("", said):
            return None
        return f"A trial has waited for {duration(now - since)} for its place on the cluster. {reason}"

    def _unplaced(self) -> set[str]:
        mine = this_job()
        found = [group for group in placement_groups() if group.creator_job_id == mine]
        return {group.placement_group_id for group in found if group.state in UNPLACED}

    def _reason(self) -> str:
        if released := release_abandoned_groups():
            return released
        groups, mine = placement_groups(), this_job()
        others = []
        for job, driver in drivers().items():
            placed = [group for group in groups if group.creator_job_id == job and group.state not in UNPLACED]
            reserved = Reserved.by(placed, actors(job))
            if job != mine and reserved:
                others.append(f"process {driver.pid} on {driver.ip} has {reserved}")
        if others:
            return f"Other drivers use the cluster: {', '.join(others)}"
        return "No other driver has CPUs or GPUs; `ray status` shows what Ray waits for"
