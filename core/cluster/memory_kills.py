"""The number of processes that a machine's kernel has killed for lack of memory."""

from __future__ import annotations

import re
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

STATISTICS = Path("/proc/vmstat")
ANSWER_S = 10.0


def memory_kills() -> int:
    """Number of processes that this machine's kernel has killed for lack of memory since it was started.

    It is 0 where the kernel does not count them.
    """
    found = re.search(r"^oom_kill (\d+)$", STATISTICS.read_text(), re.M) if STATISTICS.exists() else None
    return int(found[1]) if found else 0


def memory_kills_on(node: str) -> int | None:
    """`memory_kills` on the machine of the node with this id; None if the node does not answer."""
    there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    try:
        return int(ray.get(_count.options(scheduling_strategy=there).remote(), timeout=ANSWER_S))
    except ray.exceptions.RayError:
        return None


@ray.remote(num_cpus=0, max_retries=0)
def _count() -> int:
    return memory_kills()
