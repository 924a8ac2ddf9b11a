"""A Ray Train (V2) worker group that runs one trial on several DDP ranks, nested in a Tune trial."""

from __future__ import annotations

import tempfile
from typing import Any

import ray.train
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from core.sweep.worker import train_rank


def run_worker_group(run: dict[str, Any]) -> None:
    """Train one trial: ``run`` holds the workers' ``task`` and the group's ``workers, cpus, gpus, max_failures``.

    ``scratch`` is a folder on the driver's machine, where this runs too. The workers join their process group
    themselves (`core.sweep.worker`), because the plain data-parallel trainer, unlike TorchTrainer, spares the trial's
    controller the import of torch.
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
            # checkpoints live in the trial's own store: what Train keeps here is worth nothing once the trial ends
            storage_path=tempfile.mkdtemp(dir=run["scratch"]),
            callbacks=[TuneReportCallback()],  # type: ignore[list-item]
            failure_config=ray.train.FailureConfig(max_failures=run["max_failures"]),
        ),
    )
    trainer.fit()
