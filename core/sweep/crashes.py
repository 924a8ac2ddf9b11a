"""What a crash counts against: its trial, its node, or the whole sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

FAILING_AFTER = 2
"""Crashes on a node, with no epoch in between, after which the node counts as failing."""
MAX_UNCOUNTED = 10
"""Crashes of one trial, with no epoch in between, that may count against its nodes."""
PER_PLACE = 2
"""Least crashes for each trial that runs at once, before the whole sweep is judged."""


class CrashDecision(NamedTuple):
    """What follows from a crash.

    Attributes:
        counts: True if it counts against the trial, whose restarts are limited.
        uncounted: for each trial, the number of its earlier crashes that no longer count against it.
        failing_nodes: ids of the nodes that should get no trials for a while.
        stop_sweep: True if the sweep should stop.
    """

    counts: bool
    uncounted: Mapping[str, int]
    failing_nodes: Sequence[str]
    stop_sweep: bool


@dataclass
class Crash:
    """A crash of a trial, on the nodes of all ranks at fault; ``counts`` if it counts against the trial."""

    trial: str
    counts: bool


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
        self._by_node: dict[str, list[Crash]] = {}
        self._uncounted: Counter[str] = Counter()

    @property
    def number(self) -> int:
        """Crashes since the last epoch of any trial."""
        return len(self._in_succession)

    def on_node(self, node: str) -> int:
        """Crashes on a node since the last epoch there."""
        return len(self._by_node.get(node, ()))

    def progressed(self, trial: str, nodes: Collection[str]) -> None:
        """Note that a trial finished an epoch on these nodes."""
        self._in_succession.clear()
        for node in nodes:
            self._by_node.pop(node, None)
        self._uncounted.pop(trial, None)

    def lost_node(self, trial: str) -> CrashDecision:
        """Note that a trial ended because its node was lost."""
        return CrashDecision(not self._may_be_uncounted(trial), {}, (), False)

    def crashed(self, trial: str, nodes: Collection[str], at_once: int, elsewhere: bool) -> CrashDecision:
        """Note that an attempt crashed.

        Args:
            trial: key of the trial.
            nodes: ids of the nodes on which its processes crashed; none if they are not known.
            at_once: number of trials that run at once.
            elsewhere: True if other nodes, which are not in quarantine, could hold the trial.
        """
        self._in_succession.append(trial)
        alike = len(set(self._in_succession)) == 1  # a trial alone is censored by its own limit
        stop_sweep = not alike and self.number >= max(self.limit, PER_PLACE * at_once)
        places = [self._by_node.setdefault(node, []) for node in nodes]
        failing_nodes = [node for node, here in zip(nodes, places, strict=True) if len(here) + 1 >= FAILING_AFTER]
        shared = [here for here in places if any(crash.trial != trial for crash in here)]
        again = elsewhere and any(crash.trial == trial for here in places for crash in here)
        node_failed = bool(failing_nodes and (shared or again) and self._may_be_uncounted(trial))
        uncounted: Counter[str] = Counter()
        for crash in (crash for here in shared for crash in here if node_failed and crash.counts):
            uncounted[crash.trial] += 1
            crash.counts = False
        crash = Crash(trial, not node_failed)
        for here in places:
            here.append(crash)
        return CrashDecision(not node_failed, uncounted, failing_nodes, stop_sweep)

    def _may_be_uncounted(self, trial: str) -> bool:
        self._uncounted[trial] += 1
        return self._uncounted[trial] <= MAX_UNCOUNTED
