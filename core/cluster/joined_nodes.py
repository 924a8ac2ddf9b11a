"""Nodes that join a running sweep, of which some cannot run the project."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress

import ray
from ray.util.placement_group import PlacementGroup

from core.cluster.jobs import UNANSWERED
from core.cluster.node_probe import NodeProbe, UnusableNodeError, only_on
from core.cluster.nodes import living_nodes
from core.cluster.unusable_nodes import keep_trials_off, release_departed, withdraw_trials

LOOK_EVERY_S = 2.0
"""Least seconds between two looks at the cluster."""


class JoinedNodes:
    """Probes the nodes that join. The driver must call `look` often, which never waits for a node.

    A trial may be placed on a node before the node has answered. It is withdrawn if the node turns out to start no
    process. Whether the node can read the sweep's store is checked by each of its trials, which can wait for a server.

    Args:
        known: ids of the nodes that need no probe.
    """

    def __init__(self, known: Collection[str]) -> None:
        self._known = set(known)
        self._probes: dict[str, NodeProbe] = {}
        self._unusable: dict[str, PlacementGroup] = {}
        self._looked = time.monotonic()

    def look(self) -> list[str]:
        """Keep trials off the nodes that have turned out to be unusable, and return a line about each of them."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return []
        self._looked, nodes = now, living_nodes()
        for key in nodes.keys() - self._known:
            self._probes[key] = NodeProbe(nodes[key], _start.options(scheduling_strategy=only_on(key)).remote())
        self._known |= nodes.keys()
        release_departed(nodes.keys())
        lines = []
        for key in [key for key, probe in self._probes.items() if probe.ended]:
            try:
                self._probes.pop(key).answer()
            except UnusableNodeError as problem:
                lines.append(str(problem))
                self._unusable |= keep_trials_off([key])
            except ray.exceptions.RayError:
                continue  # The node has left.
        with suppress(*UNANSWERED):  # Otherwise the next look tries again.
            for key, reservation in list(self._unusable.items()):
                # Another trial may come to the node before Ray has placed the reservation.
                if key not in nodes or withdraw_trials(key, reservation):
                    del self._unusable[key]
        return lines


@ray.remote(num_cpus=0)
def _start() -> None:
    """Do nothing. That the task runs shows that the node can start a process of the project."""
