"""What a crash counts against: its trial, its node, or the whole sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
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
        suspects: ids of the nodes that should get no trials for a while.
        hopeless: True if the sweep should stop.
    """

    charged: bool
    refunds: Mapping[str, int]
    suspects: Sequence[str]
    hopeless: bool


@dataclass
class Crash:
    """A crash of a trial, on the nodes of all ranks to blame; ``charged`` if it counts against the trial."""

    trial: str
    charged: bool


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
        self._excused: Counter[str] = Counter()

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
        self._excused.pop(trial, None)

    def lost_node(self, trial: str) -> Blame:
        """Note that a trial ended because its node was lost."""
        return Blame(not self._excuse(trial), {}, (), False)

    def crashed(self, trial: str, nodes: Collection[str], at_once: int, elsewhere: bool) -> Blame:
        """Note that an attempt crashed.

        Args:
            trial: key of the trial.
            nodes: ids of the nodes on which its processes crashed; none if they are not known.
            at_once: number of trials that run at once.
            elsewhere: True if other nodes, which are not in quarantine, could hold the trial.
        """
        self._in_succession.append(trial)
        alike = len(set(self._in_succession)) == 1  # a trial alone is censored by its own limit
        hopeless = not alike and self.number >= max(self.limit, PER_PLACE * at_once)
        places = [self._by_node.setdefault(node, []) for node in nodes]
        suspects = [node for node, here in zip(nodes, places, strict=True) if len(here) + 1 >= SUSPECT_AFTER]
        shared = [here for here in places if any(crash.trial != trial for crash in here)]
        again = elsewhere and any(crash.trial == trial for here in places for crash in here)
        excused = bool(suspects and (shared or again) and self._excuse(trial))
        refunds: Counter[str] = Counter()
        for crash in (crash for here in shared for crash in here if excused and crash.charged):
            refunds[crash.trial] += 1
            crash.charged = False
        crash = Crash(trial, not excused)
        for here in places:
            here.append(crash)
        return Blame(not excused, refunds, suspects, hopeless)

    def _excuse(self, trial: str) -> bool:
        self._excused[trial] += 1
        return self._excused[trial] <= MAX_EXCUSED
