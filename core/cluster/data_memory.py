"""A comparison of the sweep's data sets with the memory of the nodes that would train on them."""

from __future__ import annotations

import os
from collections.abc import Iterable

from core.cluster.autoscaling import autoscaling_limits
from core.cluster.capacity import node_memory, ranks_on, usable_resources
from core.config import DataOptions, RunOptions


def check_data_fits(data: Iterable[DataOptions], run: RunOptions) -> None:
    """Refuse a data set that the largest node of the cluster cannot hold, before a worker runs out of memory.

    Nothing is refused while the memory of a node, or of nodes that may still be started, is not known.

    Raises:
        ValueError: the images of a data set alone take more than the memory of the largest node.
    """
    largest = _largest_memory(run)
    if largest is None:
        return
    for options in dict.fromkeys(data):
        if options.image_bytes > largest:
            sizes = (
                f"--train-images {options.train_images} --test-images {options.test_images} "
                f"--channels {options.channels} --image-size {options.image_size}"
            )
            raise ValueError(
                f"{sizes if options.train_images else f'--dataset {options.dataset}'}: the images would take "
                f"{options.image_bytes / 1e9:.3g} GB of memory in each training process, and the largest node has "
                f"{largest / 1e9:.3g} GB"
            )


def _largest_memory(run: RunOptions) -> float | None:
    """Bytes of the largest node that can train, running or still to be started; None if it is not known."""
    if run.max_concurrent and "KUBERNETES_SERVICE_HOST" in os.environ:
        return None  # Kubernetes starts nodes on demand, whose size is not known here
    nodes = [*usable_resources(), *(kind.resources for kind in autoscaling_limits().types)]
    sizes = [node_memory(node) for node in nodes if ranks_on(node, run) > 0]
    return max(sizes) if sizes and all(sizes) else None
