"""Checks that every training machine can reach the sweep's store, because files that are written elsewhere are lost."""

from __future__ import annotations

import platform
import secrets

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from core.ledger.description import DESCRIPTION
from core.storage import Store, StoreError

ANSWER_SECONDS = 120
STORAGE_HINT = "--storage must be a folder that all nodes share, or s3://BUCKET/PREFIX"


def check_storage_on_nodes(store: Store) -> None:
    """Read a file of the store on every running node. A cluster of one node needs no check.

    Raises:
        ValueError: a node cannot read the file, or reads other content.
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
                continue  # the node has left or hangs; if it returns, each of its trials checks the store itself
            if isinstance(found, str):
                raise ValueError(f"--storage {store.root}: the node {node} cannot read it: {found}")
            if found != content:
                raise ValueError(f"--storage {store.root}: the node {node} has no such files there. {STORAGE_HINT}")
    finally:
        store.delete(name)


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
