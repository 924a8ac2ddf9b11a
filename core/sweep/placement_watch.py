"""Says what keeps trials from starting although the cluster is large enough."""

from __future__ import annotations

import time
from collections.abc import Callable

import ray

from core.cluster.abandoned_groups import release_abandoned_groups
from core.cluster.amounts import Amounts
from core.cluster.jobs import UNANSWERED, actors, drivers, placement_groups, this_job
from core.cluster.kept_free import KEPT_FREE

LOOK_EVERY_S = 20.0
"""Seconds between two looks. A trial that waits at two looks in succession has waited for too long.

Ray Train replaces a placement group that has waited for 60 s."""
ANSWER_S = 5
"""Seconds to wait for each answer of the State API, because the driver does nothing else meanwhile."""
SAY_EVERY_S = 600.0
"""Least seconds between two lines of one wait, in which other drivers may come and go."""
UNPLACED = ("PENDING", "RESCHEDULING")
"""States of placement groups for which Ray has found no room."""


class PlacementWatch:
    """Watches the placement groups of this driver's trials. The driver must call `look` often.

    Args:
        has_room: tells whether the nodes that the driver does not keep free hold more trials than those that have a
            place on the cluster.
    """

    def __init__(self, has_room: Callable[[], bool]) -> None:
        self._has_room = has_room
        self._looked = time.monotonic()
        self._waiting: set[str] = set()
        self._said = -SAY_EVERY_S

    def look(self) -> str | None:
        """Release what Ray reserves for drivers that have ended, if a trial waits.

        Returns:
            A line about why trials wait; None if none has waited for long, or if a line was returned shortly before.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return None
        try:
            before, self._waiting = self._waiting, self._unplaced() if self._has_room() else set()
            reason = self._reason() if self._waiting & before else ""
        except UNANSWERED:
            return None
        finally:
            self._looked = time.monotonic()
        if not reason or now - self._said < SAY_EVERY_S:
            return None
        self._said = now
        return f"A trial waits for its place on the cluster. {reason}"

    def _unplaced(self) -> set[str]:
        """The waiting groups of this driver's trials, without those with which the driver keeps nodes free."""
        mine = this_job()
        found = [group for group in placement_groups(ANSWER_S) if group.creator_job_id == mine]
        trials = [group for group in found if not group.name.startswith(KEPT_FREE)]
        return {group.placement_group_id for group in trials if group.state in UNPLACED}

    def _reason(self) -> str:
        if released := release_abandoned_groups(ANSWER_S):
            return released
        groups, mine = placement_groups(ANSWER_S), this_job()
        others = []
        for job, driver in drivers(ANSWER_S).items():
            if job == mine:
                continue
            placed = [group for group in groups if group.creator_job_id == job and group.state not in UNPLACED]
            if reserved := Amounts.by(placed, actors(job, ANSWER_S)):
                others.append(f"process {driver.pid} on {driver.ip} has {reserved}")
        if others:
            return f"Other drivers use the cluster: {', '.join(others)}"
        free = Amounts.of(ray.available_resources())
        return f"{free} of the cluster are free; `ray status` shows what Ray waits for" if free else ""
