"""Checks that every node can run the project and can read the sweep's store."""

from __future__ import annotations

import platform
import secrets

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from core.ledger.description import DESCRIPTION
from core.storage import Store, StoreError

ANSWER_SECONDS = 120
UNSTARTED_HINT = "raylet.out in Ray's folder of logs there says more. Its Python may be unable to import Ray"
STORAGE_HINT = "--storage must be a folder that all nodes share, or s3://BUCKET/PREFIX"


def check_storage_on_nodes(store: Store) -> dict[str, str]:
    """Read a file of the store on every running node. A cluster of one node needs no check.

    Returns:
        For each node that cannot run the project, its id and a sentence about it. Nodes that have left are not among
        them; if such a node returns, each of its trials checks the store.

    Raises:
        ValueError: a node cannot read the file, or reads other content.
    """
    nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
    if len(nodes) == 1:
        return {}
    name, content = "reach-probe", secrets.token_bytes(16)
    store.write(name, content)
    try:
        answers = {
            key: _read.options(scheduling_strategy=NodeAffinitySchedulingStrategy(key, soft=False)).remote(
                store.root, name
            )
            for key in nodes
        }
        ready, _ = ray.wait([*answers.values()], num_returns=len(answers), timeout=ANSWER_SECONDS)
        problems = {}
        for key, answer in answers.items():
            node = f"{nodes[key]['NodeManagerHostname']} ({nodes[key]['NodeManagerAddress']})"
            if answer not in ready:
                unstarted = f"it has started no process within {ANSWER_SECONDS} s; {UNSTARTED_HINT}"
                problems[key] = f"node {node} cannot be used: {unstarted}"
                ray.cancel(answer, force=True)
                continue
            try:
                found = ray.get(answer)
            except ray.exceptions.RayTaskError as error:
                problems[key] = f"node {node} cannot be used: {_last_line(error)}"
                continue
            except ray.exceptions.RayError:
                continue
            if isinstance(found, str):
                raise ValueError(f"--storage {store.root}: the node {node} cannot read it: {found}")
            if found != content:
                raise ValueError(f"--storage {store.root}: the node {node} has no such files there. {STORAGE_HINT}")
        return problems
    finally:
        store.delete(name)


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1][:200]


def check_storage_here(root: str, patience_s: float) -> None:
    """Check on a trial's machine that ``root`` is the sweep's store, because a node may join after the first check.

    Args:
        root: address of the sweep's store.
        patience_s: seconds to wait for a server that is away.

    Raises:
        ValueError: this machine finds no sweep at ``root``.
    """
    if Store(root).with_retry_limit(patience_s).read(DESCRIPTION) is None:
        raise ValueError(f"--storage {root}: the node {platform.node()} has no such sweep there. {STORAGE_HINT}")


@ray.remote(num_cpus=0)
def _read(root: str, name: str) -> bytes | str | None:
    try:
        return Store(root).read(name)
    except StoreError as error:
        return str(error)
