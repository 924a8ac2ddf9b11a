"""GPUs that cannot be used at all, such as those of a node whose driver is broken.

A trial that Ray places on such a GPU fails within seconds, and the queue of trials would follow it there.
"""

from __future__ import annotations

import platform
import re
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from core.cluster.nodes import usable_amount

BROKEN = re.compile(r"the GPU of node ([0-9a-f]+) \((.*)\) cannot be used: (.*)")


def open_assigned_device(share: float = 1.0) -> Any:
    """The device that Ray has assigned to this process, as a ``torch.device``; see `open_device`.

    Raises:
        BrokenDeviceError: the GPU cannot be used. The message names its node, as `BrokenGpus.exclude` expects.
    """
    from core.engine.device import BrokenDeviceError, open_device  # imported late: the driver does not need torch

    try:
        return open_device("cuda" if ray.get_gpu_ids() else "cpu", share)
    except BrokenDeviceError as error:
        node = ray.get_runtime_context().get_node_id()
        raise BrokenDeviceError(f"the GPU of node {node} ({platform.node()}) cannot be used: {error}") from error


class BrokenGpus:
    """Keeps broken GPUs occupied until the driver ends, so that Ray places no further trial on them."""

    def __init__(self) -> None:
        self._occupants: list[Any] = []

    def exclude(self, error: str) -> str | None:
        """Occupy the GPU that a trial's error names.

        Returns:
            A line about the GPU. None if the error names no GPU, or if no other GPU is left for the trial.
        """
        broken = BROKEN.search(error)
        if not broken or usable_amount("GPU") - len(self._occupants) < 2:
            return None
        node, host, reason = broken.groups()
        there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        occupant: Any = ray.remote(_Occupant)
        self._occupants.append(occupant.options(num_cpus=0, num_gpus=1, scheduling_strategy=there).remote())
        return f"the GPU of {host} cannot be used ({reason}): no further trial is placed on it"


class _Occupant:
    """An actor that keeps its GPU, unless the GPU works: Ray may have assigned it another one of the node."""

    def __init__(self) -> None:
        from core.engine.device import BrokenDeviceError

        try:
            open_assigned_device()
        except BrokenDeviceError:
            return
        ray.actor.exit_actor()
