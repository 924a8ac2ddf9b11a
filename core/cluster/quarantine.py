"""Nodes that get no trials for a while, because attempts fail there again and again."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field

from ray.util.placement_group import PlacementGroup, remove_placement_group

from core.cluster.capacity import ranks_on
from core.cluster.kept_free import keep_free
from core.cluster.nodes import usable_nodes
from core.config import RunOptions
from core.quantity import duration

FIRST_S = 30.0
"""Seconds of a node's first quarantine. Each further one takes twice as long, until an attempt succeeds there."""
LONGEST_S = 3600.0
LOOK_EVERY_S = 1.0
"""Least seconds between two looks at the cluster."""


@dataclass
class Stay:
    """The quarantine of a node: when it ends, and the placement groups that keep its resources."""

    until: float
    groups: list[PlacementGroup] = field(default_factory=list)


class Quarantine:
    """Keeps nodes free of trials by reserving their resources.

    A placement group reserves without a process, which a broken node might be unable to start. The nodes still count as
    capacity for trials: those that run there go on, and one that waits meanwhile takes the first place that is free.
    """

    def __init__(self, run: RunOptions) -> None:
        self._run = run
        self._stays: dict[str, Stay] = {}
        self._times: dict[str, int] = {}
        self._looked = time.monotonic()

    @property
    def nodes(self) -> Collection[str]:
        """Ids of the nodes in quarantine."""
        return self._stays.keys()

    def admit(self, node: str, workers: int) -> str | None:
        """Keep trials off a node, given by its id, on which an attempt at a trial of ``workers`` ranks crashed.

        Returns:
            A line about it; None if no other nodes could hold such a trial, or if the node is gone.
        """
        nodes = usable_nodes()
        if node not in nodes or node in self._stays or not self.elsewhere([node], workers):
            return None
        times = self._times[node] = self._times.get(node, 0) + 1
        seconds = min(FIRST_S * 2 ** (times - 1), LONGEST_S)
        bundle = {"CPU": float(self._run.cpus_per_worker), "GPU": float(self._run.gpus_per_worker or 0)}
        needed = {name: amount for name, amount in bundle.items() if amount}
        self._stays[node] = Stay(
            time.monotonic() + seconds,
            [keep_free(needed, node) for _ in range(ranks_on(nodes[node]["Resources"], self._run))],
        )
        return f"node {nodes[node]['NodeManagerHostname']} gets no trials for {duration(seconds)}"

    def elsewhere(self, nodes: Collection[str], workers: int) -> bool:
        """Whether nodes that are neither among these nor in quarantine could hold a trial of ``workers`` ranks."""
        ranks = sum(
            ranks_on(entry["Resources"], self._run)
            for node, entry in usable_nodes().items()
            if node not in nodes and node not in self._stays
        )
        return ranks >= workers

    def look(self) -> None:
        """Let trials return to the nodes whose time is over, and forget those that have left."""
        now = time.monotonic()
        if not self._stays or now - self._looked < LOOK_EVERY_S:
            return
        self._looked, nodes = now, usable_nodes()
        for node, stay in list(self._stays.items()):
            if now >= stay.until or node not in nodes:
                del self._stays[node]
                for group in stay.groups:
                    remove_placement_group(group)

    def forget(self, node: str) -> None:
        """Start with the shortest time again, because an attempt succeeded on the node."""
        self._times.pop(node, None)
