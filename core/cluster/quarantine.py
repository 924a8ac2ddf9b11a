"""Nodes that get no trials for a while, because attempts fail there again and again."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ray.util.placement_group import PlacementGroup, remove_placement_group

from core.cluster.capacity import ranks_on
from core.cluster.kept_free import keep_free
from core.cluster.living_nodes import living_nodes
from core.config import RunOptions
from core.quantity import duration

FIRST_S = 30.0
"""Seconds of a node's first quarantine. Each further one takes twice as long, until an attempt succeeds there."""
LONGEST_S = 3600.0


@dataclass
class Stay:
    """The quarantine of a node: when it ends, and the placement groups that keep its resources."""

    until: float
    groups: list[PlacementGroup] = field(default_factory=list)


class Quarantine:
    """Keeps nodes free of trials by reserving their resources.

    A placement group reserves without a process, which a broken node might be unable to start.
    """

    def __init__(self, run: RunOptions) -> None:
        self._run = run
        self._stays: dict[str, Stay] = {}
        self._times: dict[str, int] = {}

    def admit(self, node: str) -> str | None:
        """Keep trials off a node, given by its id.

        Returns:
            A line about it; None if no other node could hold the trials, or if the node is gone.
        """
        nodes = living_nodes()
        if node not in nodes or node in self._stays or not self.elsewhere(node):
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

    def elsewhere(self, node: str) -> bool:
        """Whether a node that is neither this one nor in quarantine could hold trials."""
        return any(
            ranks_on(entry["Resources"], self._run)
            for key, entry in living_nodes().items()
            if key != node and key not in self._stays
        )

    def look(self) -> None:
        """Let trials return to the nodes whose time is over."""
        now = time.monotonic()
        for node, stay in list(self._stays.items()):
            if now >= stay.until:
                del self._stays[node]
                for group in stay.groups:
                    remove_placement_group(group)

    def forget(self, node: str) -> None:
        """Start with the shortest time again, because an attempt succeeded on the node."""
        self._times.pop(node, None)
