"""What a crash counts against: its trial, its node, or the whole sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

SUSPECT_AFTER = 2
"""Crashes on a node, with no epoch in between, after which the node is suspected."""
MAX_EXCUSED = 10
"""Crashes of one trial, with no epoch in between, that may count against its nodes."""
PER_PLACE = 2
"""Least crashes for each trial that runs at once, before the whole sweep is judged."""


class Blame(NamedTuple):
    """What follows from a crash.

    Attributes:
        charged: True if it counts against the trial, whose restarts are limited.
        refunds: for each trial, the number of its earlier crashes that no longer count against it.
        suspect: id of the node that should get no trials for a while, or None.
        hopeless: True if the sweep should stop.
    """

    charged: bool
    refunds: Mapping[str, int]
    suspect: str | None
    hopeless: bool


class Crashes:
    """Remembers the crashes since the last epoch of each node, of each trial and of the sweep.

    Crashes of different trials on one node, with no epoch in between, count against the node. Further crashes of
    one trial on the same node count against the node too, as long as another node could hold the trial. Only its
    first crash there counts against the trial. The loss of a node is not a crash.

    Args:
        limit: number of crashes in succession, with no epoch of any trial in between, after which the sweep stops.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._in_succession: list[str] = []
        self._by_node: dict[str, list[tuple[str, bool]]] = {}
        self._excused: Counter[str] = Counter()

    @property
    def number(self) -> int:
        """Crashes since the last epoch of any trial."""
        return len(self._in_succession)

    def on_node(self, node: str) -> int:
        """Crashes on a node since the last epoch there."""
        return len(self._by_node.get(node, ()))

    def progressed(self, trial: str, node: str | None) -> None:
        """Note that a trial finished an epoch on a node."""
        self._in_succession.clear()
        self._by_node.pop(node or "", None)
        self._excused.pop(trial, None)

    def lost_node(self, trial: str) -> Blame:
        """Note that a trial ended because its node was lost."""
        return Blame(not self._excuse(trial), {}, None, False)

    def crashed(self, trial: str, node: str | None, at_once: int, elsewhere: bool) -> Blame:
        """Note that an attempt crashed.

        Args:
            trial: key of the trial.
            node: id of its node; None if it is not known, as for a trial of several workers.
            at_once: number of trials that run at once.
            elsewhere: True if another node, which is not in quarantine, could hold the trial.
        """
        self._in_succession.append(trial)
        alike = len(set(self._in_succession)) == 1  # a trial alone is censored by its own limit
        hopeless = not alike and self.number >= max(self.limit, PER_PLACE * at_once)
        if node is None:
            return Blame(True, {}, None, hopeless)
        here = self._by_node.setdefault(node, [])
        suspect = node if len(here) + 1 >= SUSPECT_AFTER else None
        shared = any(other != trial for other, _ in here)
        again = elsewhere and any(other == trial for other, _ in here)
        excused = bool(suspect and (shared or again) and self._excuse(trial))
        refunds: Counter[str] = Counter()
        if excused and shared:
            refunds.update(other for other, charged in here if charged)
            here[:] = [(other, False) for other, _ in here]
        here.append((trial, not excused))
        return Blame(not excused, refunds, suspect, hopeless)

    def _excuse(self, trial: str) -> bool:
        self._excused[trial] += 1
        return self._excused[trial] <= MAX_EXCUSED
