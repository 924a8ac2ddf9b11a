"""A Ray Train (V2) worker group that runs one trial on several DDP ranks, nested in a Tune trial."""

from __future__ import annotations

import tempfile
from typing import Any

import ray.train
from ray.train.v2.api.config import FailureConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from core.sweep.group_error import GroupError
from core.sweep.worker import train_rank


def run_worker_group(run: dict[str, Any]) -> None:
    """Train one trial on several ranks.

    The workers create their torch process group themselves (`core.sweep.worker`). This allows the use of the plain
    data-parallel trainer, with which, unlike with TorchTrainer, the trial's controller does not import torch.

    The driver restarts a group that crashes, as it does with a trial of one worker. It avoids the nodes of the crash.

    Args:
        run: the workers' ``task``, the number of ``workers``, the ``cpus`` and ``gpus`` of each worker, and
            ``scratch``, a folder on the driver's machine, where this function runs as well.

    Raises:
        GroupError: the group has ended without a result.
    """
    resources = {"CPU": run["cpus"], "GPU": run["gpus"]}
    trainer = DataParallelTrainer(
        train_rank,  # type: ignore[arg-type]
        train_loop_config=dict(run["task"]),
        scaling_config=ray.train.ScalingConfig(
            num_workers=run["workers"],
            use_gpu=run["gpus"] > 0,
            resources_per_worker={name: amount for name, amount in resources.items() if amount},
        ),
        run_config=ray.train.RunConfig(
            # Checkpoints are kept in the trial's own store; the files of Train are not needed after the trial.
            storage_path=tempfile.mkdtemp(dir=run["scratch"]),
            callbacks=[TuneReportCallback()],  # type: ignore[list-item]
            failure_config=FailureConfig(max_failures=0, max_preemption_failures=0),
        ),
    )
    try:
        trainer.fit()
    except ray.train.WorkerGroupError as error:
        raise GroupError.of(error.worker_failures) from error
    except ray.train.PreemptionError as error:
        raise GroupError.of({0: error}) from error
    except ray.train.ControllerError as error:
        raise GroupError.of({0: error.controller_failure}) from error
