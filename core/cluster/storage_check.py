"""Every machine that trains must reach the sweep's store: what it writes elsewhere is lost."""

from __future__ import annotations

import platform
import secrets

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from core.ledger.description import DESCRIPTION
from core.storage import Store, StoreError

ANSWER_SECONDS = 120
SHARE_IT = "--storage must be a folder that all nodes share, or s3://BUCKET/PREFIX"


def check_storage_on_nodes(store: Store) -> None:
    """Read a file of the store on every node that is up; a cluster of one node has nothing to check.

    Raises:
        ValueError: a node can't read it, or has something else of that name.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) == 1:
        return
    name, content = "reach-probe", secrets.token_bytes(16)
    store.write(name, content)
    try:
        answers = {
            f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})": _read.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(store.root, name)
            for node in nodes
        }
        for node, answer in answers.items():
            try:
                found = ray.get(answer, timeout=ANSWER_SECONDS)
            except ray.exceptions.RayError:
                continue  # a node that is gone or hangs; trials that it gets say so themselves
            if isinstance(found, str):
                raise ValueError(f"--storage {store.root}: the node {node} can't read it: {found}")
            if found != content:
                raise ValueError(f"--storage {store.root}: the node {node} has no such files there. {SHARE_IT}")
    finally:
        store.delete(name)


def check_storage_here(root: str) -> None:
    """On the machine of a trial: is this the store that the sweep was entered in? A node may join later.

    Raises:
        ValueError: it isn't.
    """
    if Store(root).read(DESCRIPTION) is None:
        raise ValueError(f"--storage {root}: the node {platform.node()} has no such sweep there. {SHARE_IT}")


@ray.remote(num_cpus=0)
def _read(root: str, name: str) -> bytes | str | None:
    try:
        return Store(root).read(name)
    except StoreError as error:
        return str(error)
