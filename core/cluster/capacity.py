"""The number of trials that a cluster can run at once. It changes while nodes join and leave."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from core.cluster.autoscaling import Autoscaling, autoscaling_limits
from core.cluster.nodes import usable_nodes
from core.config import RunOptions

GROUP_BYTES = 1.2e9
"""Measured memory of the actors that control a trial of several workers; these actors run on the head node."""
WORKER_BYTES = 0.7e9
"""Measured memory of one training worker on a CPU with a small model; large models need --max-concurrent."""
GPU_WORKER_BYTES = 3.5e9
"""Estimated memory of the machine, not of the GPU, for one training worker on a GPU: CUDA's libraries and context."""
HEAD = "node:__internal_head__"
HEAD_SHARE = 1e-4
"""Share of the head node's label resource that a trial's controlling actor requests.

The resource, which every cluster has, places the actor on the head node without a request for a CPU."""


@dataclass(frozen=True)
class Capacity:
    """Numbers of trials of ``workers`` ranks each.

    Attributes:
        by_ranks: trials for which the running nodes have CPUs and GPUs.
        by_memory: trials for which the running nodes have memory.
        later: trials that fit when the cluster's autoscaler has started all its nodes; 0 if its limits are not known.
        by_head: trials whose controlling actors fit on the head node; None if trials have no such actors.
    """

    by_ranks: int
    by_memory: int
    later: int
    by_head: int | None

    @property
    def now(self) -> int:
        """Trials that the running nodes hold."""
        return self._limited(min(self.by_ranks, self.by_memory))

    @property
    def known(self) -> int:
        """Trials that the running nodes hold, or those that an autoscaler is known to start; at least 1."""
        # The memory of nodes that have not started yet is unknown.
        return max(1, self._limited(max(min(self.by_ranks, self.by_memory), self.later)))

    def wanted(self, limit: int | None) -> int:
        """Trials that may be started at once, at most ``limit`` if it is given.

        Up to a given limit, trials are started that must wait for a node, because the autoscaler of Kubernetes adds
        nodes only for what waits. Ray does not know how much memory a trial needs: where memory is the bound, a further
        trial would not wait.
        """
        if limit is None:
            return self.known
        if self.by_memory < self.by_ranks:
            return min(limit, self.known)
        return max(1, self._limited(limit))

    def _limited(self, trials: int) -> int:
        return trials if self.by_head is None else min(trials, self.by_head)


def capacity(run: RunOptions, workers: int, without: Collection[str] = ()) -> Capacity:
    """The present capacity of the cluster for trials of ``workers`` ranks each.

    Args:
        run: the resources of a rank.
        workers: ranks of a trial.
        without: ids of nodes to leave out.
    """
    nodes = usable_resources(without)
    grouped = workers > 1
    worker_bytes = GPU_WORKER_BYTES if run.gpus_per_worker else WORKER_BYTES
    head = sum(node_memory(node) for node in usable_resources() if HEAD in node)  # a quarantine keeps no memory free
    return Capacity(
        by_ranks=sum(ranks_on(node, run) for node in nodes) // workers,
        by_memory=int(sum(map(node_memory, nodes)) / (worker_bytes * workers + GROUP_BYTES * grouped)),
        later=_ranks_after_scaling(autoscaling_limits(), run) // workers,
        by_head=int(head / GROUP_BYTES) if grouped else None,
    )


def fitting_trials(run: RunOptions, workers: int) -> int:
    """Number of trials of ``workers`` ranks each that the cluster can run at once.

    Raises:
        ValueError: the cluster cannot run a single one, or several ranks would share a GPU.
    """
    run.check_workers(workers)
    nodes = usable_resources()
    now = sum(ranks_on(node, run) for node in nodes)
    later = _ranks_after_scaling(autoscaling_limits(), run)
    if not now and not later and run.max_concurrent:
        return run.max_concurrent  # Kubernetes starts nodes on demand, and their number is not known here
    if max(now, later) < workers:
        cpus, gpus = (sum(node.get(kind, 0) for node in nodes) for kind in ("CPU", "GPU"))
        raise ValueError(
            f"--workers {workers} with --cpus-per-worker {run.cpus_per_worker:g} and --gpus-per-worker "
            f"{run.gpus_per_worker:g} can never run: the cluster has {cpus:g} CPUs and {gpus:g} GPUs"
            f" on {len(nodes)} node(s){'' if now else '; if nodes are still to be started, give --max-concurrent'}"
        )
    fitting = capacity(run, workers).known
    return min(fitting, run.max_concurrent or fitting)


def usable_resources(without: Collection[str] = ()) -> list[Mapping[str, float]]:
    """The resources of each running node that can run the project."""
    return [entry["Resources"] for node, entry in usable_nodes().items() if node not in without]


def node_memory(node: Mapping[str, float]) -> float:
    """Bytes of memory that Ray counts on a node with these resources; 0 if it counts none."""
    return node.get("memory", 0) + node.get("object_store_memory", 0)


def _ranks_after_scaling(limits: Autoscaling, run: RunOptions) -> int:
    """Number of ranks that fit on the cluster after scaling; Ray prefers the smallest nodes, which ranks fill best."""
    nodes = sorted(
        ranks for kind in limits.types if (ranks := ranks_on(kind.resources, run)) for _ in range(kind.max_workers)
    )
    return sum(nodes[: limits.max_workers])


def ranks_on(node: Mapping[str, float], run: RunOptions) -> int:
    """Number of training ranks that a node with these resources holds."""
    limits = [node.get("CPU", 0) / run.cpus_per_worker] if run.cpus_per_worker else []
    if run.gpus_per_worker:
        # A fraction of a GPU must come from one GPU: 0.4 fits twice on each GPU, not five times on two GPUs.
        limits.append(int(node.get("GPU", 0)) * int(1 / run.gpus_per_worker + 1e-9))
    return int(min(limits) + 1e-9)
