"""A process on one node, which shows whether the node can run the project."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

ANSWER_SECONDS = 120
UNSTARTED_HINT = "raylet.out in Ray's folder of logs there says more. Its Python may be unable to import Ray"


def only_on(node: str) -> NodeAffinitySchedulingStrategy:
    """The scheduling strategy of a task that may run on no other node than this one, given by its id."""
    return NodeAffinitySchedulingStrategy(node, soft=False)


class UnusableNodeError(Exception):
    """A node cannot run the project. The text names the node and says why."""


class NodeProbe:
    """The answer of a task that was just sent to one node.

    Args:
        node: Ray's entry of the node.
        answer: the result of a task of the project's code that needs no CPU and has the strategy `only_on` the node.
    """

    def __init__(self, node: Mapping[str, Any], answer: ray.ObjectRef[Any]) -> None:
        self.node = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        self._until = time.monotonic() + ANSWER_SECONDS
        self._answer = answer

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
