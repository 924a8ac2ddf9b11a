"""A job's connection to a Ray cluster, with messages on the terminal."""

from __future__ import annotations

import time

from rich.console import Console

from core.cluster.abandoned_groups import release_abandoned_groups
from core.cluster.chosen import cluster_to_join
from core.cluster.connect import connect
from core.cluster.key_server import KeyServer
from core.cluster.storage_check import check_storage_on_nodes
from core.cluster.unusable_nodes import forget_unusable_nodes, keep_trials_off, require_usable_nodes
from core.storage import Store


def join_cluster(address: str | None, store: Store, console: Console, key_server: KeyServer | None = None) -> set[str]:
    """Connect to the cluster at ``address``, or start a local one, and check that all its nodes can read ``store``.

    Nodes that cannot run the project are named, and no trials are placed on them. What Ray still reserves for drivers
    that have ended is released.

    Args:
        address: address of the cluster; None selects it, see `core.cluster.chosen`.
        store: the sweep's store.
        console: the terminal or log that shows progress.
        key_server: gives the nodes their keys. It is opened here, and the caller closes it. None: nodes have keys of
            their own.

    Returns:
        Ids of the nodes of the cluster, all of which were checked; empty if a local cluster was started.

    Raises:
        ValueError: the cluster or all its nodes cannot be used, or one of its nodes cannot read the store.
    """
    joined = cluster_to_join(address)
    action = f"Joining the Ray cluster at {joined}" if joined else "Starting Ray"
    started = time.monotonic()
    console.print(f"{action} ...", highlight=False, soft_wrap=True)
    started_here = connect(address)
    forget_unusable_nodes()
    if key_server:
        key_server.open()
    if joined and (line := release_abandoned_groups()):
        console.print(line, highlight=False, soft_wrap=True)
    checked = {} if started_here else check_storage_on_nodes(store, key_server)
    if problems := {node: line for node, line in checked.items() if line}:
        for line in problems.values():
            console.print(line, highlight=False, soft_wrap=True, markup=False)
        keep_trials_off(problems)
        require_usable_nodes()
    console.print(f"{action} ... done in {time.monotonic() - started:.1f} s", highlight=False, soft_wrap=True)
    return set(checked)
