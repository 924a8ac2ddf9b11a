"""Nodes that cannot run the project, such as those whose Python cannot import Ray."""

from __future__ import annotations

from collections.abc import Collection

import ray

from core.cluster.kept_free import keep_free


def keep_trials_off(unusable: Collection[str]) -> None:
    """Reserve all CPUs and GPUs of nodes, given by their ids, until the driver ends.

    A trial that Ray places on such a node would wait for ever. A placement group reserves without a process.

    Raises:
        ValueError: no other node has CPUs or GPUs.
    """
    resources = {node["NodeID"]: _computing(node["Resources"]) for node in ray.nodes() if node["Alive"]}
    if not any(amounts for node, amounts in resources.items() if node not in unusable):
        raise ValueError("no node of the cluster can be used for trials, for the reasons above")
    for node in unusable:
        if amounts := resources.get(node):
            keep_free(amounts, node)


def _computing(resources: dict[str, float]) -> dict[str, float]:
    return {name: resources[name] for name in ("CPU", "GPU") if resources.get(name)}
