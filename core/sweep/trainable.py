"""What a Tune trial does: run a trial of the sweep, in its own process if one worker is enough."""

from __future__ import annotations

from typing import Any

import ray
from ray import tune

from core.cluster.connect import HEAD, HEAD_SHARE
from core.sweep.worker import train_alone


def run_trial(config: dict[str, Any]) -> None:
    """Train one trial; ``config["run"]`` is as `run_worker_group` has it.

    A trial of one worker needs no group: in the Tune trial's own process it starts in a tenth of the time, and the next
    trial finds torch imported.
    """
    run = config["run"]
    # the watchdog must know which process to end if the trial hangs
    tune.report({"node": ray.get_runtime_context().get_node_id()})
    if run["workers"] == 1:
        train_alone(run["task"])
    else:
        from core.sweep.worker_group import run_worker_group

        run_worker_group(run)


def trial_resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """What Tune reserves for a trial: its worker's devices, or next to nothing on the head for a group's controller."""
    run = config["run"]
    if run["workers"] == 1:
        return tune.PlacementGroupFactory([{"CPU": run["cpus"], "GPU": run["gpus"]}])
    return tune.PlacementGroupFactory([{"CPU": 0, HEAD: HEAD_SHARE}])
