"""The function that Ray Tune runs for each trial of a sweep."""

from __future__ import annotations

from typing import Any

import ray
from ray import tune

from core.cluster.capacity import HEAD, HEAD_SHARE
from core.cluster.memory_kills import memory_kills
from core.sweep.worker import train_alone


def tune_trial(config: dict[str, Any]) -> None:
    """Train one trial. `run_worker_group` describes ``config["run"]``.

    A trial of one worker runs in the process of the Tune trial, without a worker group. There it starts in a tenth of
    the time, and the next trial in that process finds torch imported.
    """
    run = config["run"]
    # The watchdog must know the process that it has to end if the trial hangs.
    tune.report({"node": ray.get_runtime_context().get_node_id(), "memory_kills": memory_kills()})
    if run["workers"] == 1:
        train_alone(run["task"])
    else:
        from core.sweep.worker_group import run_worker_group

        run_worker_group(run)


def trial_resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """The resources that Tune reserves for a trial.

    A trial of one worker gets the worker's CPUs and GPUs. The controller of a worker group runs on the head node and
    gets no CPU, because Ray Train reserves the resources of the group's workers.
    """
    run = config["run"]
    if run["workers"] == 1:
        return tune.PlacementGroupFactory([{"CPU": run["cpus"], "GPU": run["gpus"]}])
    return tune.PlacementGroupFactory([{"CPU": 0, HEAD: HEAD_SHARE}])
