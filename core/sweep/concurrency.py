"""The number of trials at once, which follows the cluster while nodes join and leave."""

from __future__ import annotations

import time
from collections.abc import Callable

from ray.tune.search import ConcurrencyLimiter, Searcher

from core.cluster.capacity import Capacity

LOOK_EVERY_S = 2.0
"""Least seconds between two looks at the cluster."""


class Concurrency:
    """Adapts the limit of Tune's own concurrency limiter to the cluster. The driver must call `look` often.

    When nodes leave, running trials are not ended. Trials that lost their node wait for room, and no new trial starts
    before them.

    Args:
        searcher: suggests trials without a limit.
        measure: the present capacity of the cluster.
        limit: largest number of trials at once; None: as many as fit.

    Attributes:
        limiter: the searcher to give to Tune.
    """

    def __init__(self, searcher: Searcher, measure: Callable[[], Capacity], limit: int | None) -> None:
        self._measure, self._limit = measure, limit
        self._capacity = measure()
        self._looked = time.monotonic()
        self.limiter = ConcurrencyLimiter(searcher, max_concurrent=self._capacity.wanted(limit))

    def look(self) -> str | None:
        """Follow the cluster, and return a line about it if the number of trials at once has changed."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return None
        self._looked, before = now, self.line
        self._capacity = self._measure()
        self.limiter.set_max_concurrency(self._capacity.wanted(self._limit))
        return None if self.line == before else f"The cluster has changed: {self.line}"

    def has_room(self, placed: int, fitting: int) -> bool:
        """True if more than ``placed`` trials may have a place on the ``fitting`` ones of the cluster."""
        return placed < min(fitting, self._capacity.wanted(self._limit))

    @property
    def line(self) -> str:
        """The number of trials at once, in words."""
        wanted = self._capacity.wanted(self._limit)
        fitting = min(wanted, self._capacity.now)
        return f"{wanted} at a time" if fitting == wanted else f"{fitting} at a time, and up to {wanted} on more nodes"
