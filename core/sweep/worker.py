"""The code of a training worker, which runs alone or as one rank of a Ray Train worker group."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict

import psutil
import ray.train
from ray import tune
from ray.train.collective import broadcast_from_rank_zero

from core.garbage import collection_paused
from core.sweep.group_error import RankError

if TYPE_CHECKING:
    from core.config import DataOptions
    from core.data.image_set import Dataset

GROUP_TIMEOUT = timedelta(hours=12)
"""Longest time that ranks wait for each other.

Rank 0 alone runs AutoAttack's Square, which may take hours (5,000 queries on 10,000 images)."""
NOTICE_S = 3.0
"""Seconds for which a rank's exception is held back.

When the process of a rank dies, other ranks may raise an exception before Ray has noticed the death. Ray Train ends a
group at the first failure that it sees."""


class WorkerTask(TypedDict):
    """The description of a worker's task in JSON types.

    ``storage`` is the root of all sweeps, ``sweep_store`` that of the sweep's store, and ``store`` that of the trial's
    own store. ``fence`` has the fields of the `core.storage.Fence` of the driver's lease. ``plugins`` has the fields of
    each plug-in that the trial's cell uses. ``patience_s`` is the time to wait for a store that is away. ``grant`` has
    the fields of the `core.cluster.key_server.Grant` of the trial; None: workers use keys of their own.
    """

    trial: dict[str, Any]
    protocol: dict[str, Any]
    sweep: str
    storage: str
    sweep_store: str
    store: str
    fence: dict[str, Any]
    grant: dict[str, Any] | None
    patience_s: float
    data_dir: str
    commit: str
    plugins: list[dict[str, str]]
    checkpoint_s: float
    timeout_s: float | None
    device_share: float


def train_alone(task: WorkerTask) -> None:
    """Run the trial with a single worker in the process of the Tune trial."""
    began = time.monotonic()
    with collection_paused():
        from core.cluster.broken_gpus import open_assigned_device
        from core.engine.ranks import Ranks

    _train(task, Ranks(0, 1, open_assigned_device(task["device_share"])), tune.report, began)


def train_rank(task: WorkerTask) -> None:
    """Run the trial on this rank of a Ray Train worker group.

    Raises:
        RankError: the trial has crashed on this rank.
    """
    began = time.monotonic()
    node = ray.get_runtime_context().get_node_id()
    try:
        ranks, nodes = _join_group(node)
        ray.train.report({"nodes": nodes})
        _train(task, ranks, lambda metrics: ray.train.report({**metrics, "nodes": nodes}), began)
    except Exception as error:
        time.sleep(NOTICE_S)
        raise RankError.of(error, node) from error


def _train(task: WorkerTask, ranks: Any, report: Callable[[dict[str, Any]], None], began: float) -> None:
    """Run the trial on this rank. ``began`` is the time at which the rank was started, on the monotonic clock."""
    # torch is imported inside the functions, because the actors that only pass these functions on do not need it
    with collection_paused():
        from core.checkpoints.starting_weights import read_starting_point
        from core.cluster.key_server import Grant, use_keys_of
        from core.cluster.storage_check import check_storage_here
        from core.config import ProtocolOptions, Trial
        from core.config.plugins import Plugin, use_plugin
        from core.engine.trial import run_trial
        from core.engine.trial_context import Cadence, TrialContext
        from core.storage import Fence, Store

    patience_s = task["patience_s"]
    # A process trains one trial after the other, and its keys must be those of the trial that it trains now.
    use_keys_of(Grant.of(task["grant"]) if task["grant"] else None)
    check_storage_here(task["sweep_store"], patience_s)
    for plugin in task["plugins"]:
        use_plugin(Plugin(**plugin))
    trial = Trial.model_validate(task["trial"])
    context = TrialContext(
        sweep=task["sweep"],
        store=Store(task["store"]).with_retry_limit(patience_s).guarded(Fence(**task["fence"]).check, patience_s),
        ranks=ranks,
        report=lambda epoch, rows, decided: report({"epoch": epoch, "rows": rows, "decided": decided}),
        commit=task["commit"],
        cadence=Cadence(checkpoint_s=task["checkpoint_s"]),
        timeout_s=task["timeout_s"],
        device_share=task["device_share"],
        start=read_starting_point(trial, Store(task["storage"]).with_retry_limit(patience_s)),
        began=began,
    )
    protocol = ProtocolOptions.model_validate(task["protocol"])
    run_trial(trial, protocol, lambda: _images(trial.cell.data, task["data_dir"]), context)


def _images(options: DataOptions, data_dir: str) -> Dataset:
    """The images of the trial, with extra training images if the options name any."""
    from core.data.load import load_dataset

    dataset = load_dataset(options, data_dir)
    if options.extra_data:
        from core.data.extra import with_extra  # imported late, because it imports torchvision and sympy

        dataset = with_extra(dataset, options, data_dir)
    return dataset


def _join_group(node: str) -> tuple[Any, list[str]]:
    """Join the process group, and return this rank's `Ranks` and the ids of the nodes of all ranks.

    Args:
        node: id of this rank's node.
    """
    import torch.distributed as dist

    from core.cluster.broken_gpus import open_assigned_device
    from core.engine.ranks import Ranks

    device = open_assigned_device()
    # By default gloo uses the address of the host name, which is 127.0.1.1 on Debian and Ubuntu.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", interface_of(ray.util.get_node_ip_address()))
    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    address = broadcast_from_rank_zero(_free_address() if rank == 0 else None)
    dist.init_process_group(
        # Objects, such as verdicts and checkpoints, travel by gloo. A rank that waits for one does not occupy its GPU.
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        init_method=f"tcp://{address}",
        rank=rank,
        world_size=workers,
        timeout=GROUP_TIMEOUT,
    )
    places: list[tuple[str, str]] = [("", "")] * workers
    dist.all_gather_object(places, (platform.node(), node))
    return Ranks(rank, workers, device, tuple(host for host, _ in places)), [node for _, node in places]


def interface_of(address: str) -> str:
    """The name of this machine's network interface that has the IP address."""
    interfaces = psutil.net_if_addrs().items()
    return next(name for name, addresses in interfaces if address in [entry.address for entry in addresses])


def _free_address() -> str:
    host = ray.util.get_node_ip_address()
    with socket.socket() as probe:
        probe.bind((host, 0))
        return f"{host}:{probe.getsockname()[1]}"
