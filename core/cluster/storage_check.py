"""Checks that every node can run the project and can read the sweep's store."""

from __future__ import annotations

import platform
import secrets

import ray

from core.cluster.key_server import Grant, KeyServer, use_keys_of
from core.cluster.node_probe import NodeProbe, UnusableNodeError, only_on
from core.cluster.nodes import living_nodes
from core.ledger.description import DESCRIPTION
from core.storage import Store, StoreError
from core.storage.address import is_s3
from core.storage.rights import Rights, objects

STORAGE_HINT = "--storage must be a folder that all nodes share, or s3://BUCKET/PREFIX"


def check_storage_on_nodes(store: Store, key_server: KeyServer | None) -> dict[str, str]:
    """Read a file of the store on every running node.

    The files of one node are those of the driver, which runs on it. Keys for a bucket may still be missing there.

    Args:
        store: the sweep's store.
        key_server: where the nodes get their keys; None: they have keys of their own.

    Returns:
        For each node, its id and a sentence about why it cannot run the project. The sentence is empty if it can, or if
        it has left.

    Raises:
        ValueError: a node cannot read the file, or reads other content.
    """
    nodes = living_nodes()
    problems = dict.fromkeys(nodes, "")
    if len(nodes) == 1 and not is_s3(store.root):
        return problems
    name, content = "storage-probe", secrets.token_bytes(16)
    store.write(name, content)
    grant = key_server.grant(Rights(name, (objects(store.root, name),))) if key_server else None
    try:
        answers = {
            key: _read.options(scheduling_strategy=only_on(key)).remote(store.root, name, grant) for key in nodes
        }
        for key, probe in {key: NodeProbe(nodes[key], answer) for key, answer in answers.items()}.items():
            try:
                found = probe.answer()
            except UnusableNodeError as problem:
                problems[key] = str(problem)
                continue
            except ray.exceptions.RayError:
                continue
            if isinstance(found, str):
                raise ValueError(f"--storage {store.root}: the node {probe.node} cannot read it: {found}")
            if found != content:
                raise ValueError(
                    f"--storage {store.root}: the node {probe.node} has no such files there. {STORAGE_HINT}"
                )
        return problems
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
def _read(root: str, name: str, grant: Grant | None) -> bytes | str | None:
    use_keys_of(grant)
    try:
        return Store(root).read(name)
    except StoreError as error:
        return str(error)
