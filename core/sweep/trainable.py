"""A Tune trial: a Ray Train (V2) worker group that runs one trial of the sweep."""

from __future__ import annotations

import tempfile
from typing import Any

import ray.train
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.execution.callback import RayTrainCallback
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from core.sweep.worker import WorkerTask, train_worker


class LeanTrainer(DataParallelTrainer):
    """Ray Train without what a trial doesn't use: TorchTrainer's imports in every actor, and the dataset manager.

    The workers join their process group themselves (`core.sweep.worker`). `jobs/benchmark.py` measures what it saves.
    """

    def _create_default_callbacks(self) -> list[RayTrainCallback]:
        return [c for c in super()._create_default_callbacks() if not isinstance(c, DatasetsCallback)]


def run_worker_group(config: dict[str, Any]) -> None:
    """Train one trial: ``config`` holds the worker's ``task`` and the group's ``workers, cpus, gpus, max_failures``.

    ``scratch`` is a folder on the driver's machine, where this runs too.
    """
    config = config["run"]
    task: WorkerTask = config["task"]
    resources = {"CPU": config["cpus"], "GPU": config["gpus"]}
    trainer = LeanTrainer(
        train_worker,  # type: ignore[arg-type]
        train_loop_config=dict(task),
        scaling_config=ray.train.ScalingConfig(
            num_workers=config["workers"],
            use_gpu=config["gpus"] > 0,
            resources_per_worker={name: amount for name, amount in resources.items() if amount},
        ),
        run_config=ray.train.RunConfig(
            # checkpoints live in the trial's own store: what Train keeps here is worth nothing once the trial ends
            storage_path=tempfile.mkdtemp(dir=config["scratch"]),
            callbacks=[TuneReportCallback()],  # type: ignore[list-item]
            failure_config=ray.train.FailureConfig(max_failures=config["max_failures"]),
        ),
    )
    trainer.fit()
