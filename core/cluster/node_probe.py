"""A process on one node, which shows whether the node can run the project."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import ray
from ray.remote_function import RemoteFunction
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

ANSWER_SECONDS = 120
UNSTARTED_HINT = "raylet.out in Ray's folder of logs there says more. Its Python may be unable to import Ray"


class UnusableNodeError(Exception):
    """A node cannot run the project. The text names the node and says why."""


class NodeProbe:
    """A task that runs on one node and needs no CPU.

    Args:
        node: Ray's entry of the node.
        task: the task. Its module is part of the project.
        arguments: the arguments of the task.
    """

    def __init__(self, node: Mapping[str, Any], task: RemoteFunction, *arguments: Any) -> None:
        self.node = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        self._until = time.monotonic() + ANSWER_SECONDS
        on_node = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        self._answer = task.options(num_cpus=0, scheduling_strategy=on_node).remote(*arguments)

    @property
    def ended(self) -> bool:
        """True if `answer` does not wait."""
        return time.monotonic() >= self._until or self._answered(0)

    def answer(self) -> Any:
        """What the task returned. It is waited for until `ANSWER_SECONDS` have passed since its start.

        Raises:
            UnusableNodeError: the node has started no process, or the project cannot be imported there.
            ray.exceptions.RayError: the node has left.
        """
        if not self._answered(max(0.0, self._until - time.monotonic())):
            ray.cancel(self._answer, force=True)
            unstarted = f"it has started no process within {ANSWER_SECONDS} s; {UNSTARTED_HINT}"
            raise UnusableNodeError(f"node {self.node} cannot be used: {unstarted}")
        try:
            return ray.get(self._answer)
        except ray.exceptions.RayTaskError as error:
            last_line = str(error).strip().splitlines()[-1][:200]
            raise UnusableNodeError(f"node {self.node} cannot be used: {last_line}") from None

    def _answered(self, seconds: float) -> bool:
        return bool(ray.wait([self._answer], timeout=seconds)[0])
