"""The trial of the start-up row: a Train worker group whose loop has hardly a line."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

LEAN, STOCK = "lean", "stock"
POLL = "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"


def run_near_empty_trial(config: dict[str, Any]) -> None:
    """A worker group of one worker, by our `LeanTrainer` or by a TorchTrainer with Train's own defaults.

    ``config["run"]`` holds the ``trainer``'s name, a ``scratch`` folder and ``poll_s``, the seconds between polls of
    our trainer. Nothing of ours is imported for the stock one.
    """
    run = config["run"]
    import ray.train
    from ray.tune.integration.ray_train import TuneReportCallback

    if run["trainer"] == LEAN:
        from core.sweep.worker_group import LeanTrainer as Trainer

        os.environ[POLL] = run["poll_s"]
    else:
        from ray.train.torch import TorchTrainer as Trainer  # type: ignore[assignment]
        from ray.train.v2._internal.constants import DEFAULT_HEALTH_CHECK_INTERVAL_S

        os.environ[POLL] = str(DEFAULT_HEALTH_CHECK_INTERVAL_S)
    Trainer(
        near_empty_loop,
        scaling_config=ray.train.ScalingConfig(num_workers=1),
        run_config=ray.train.RunConfig(
            storage_path=tempfile.mkdtemp(dir=run["scratch"]),
            callbacks=[TuneReportCallback()],  # type: ignore[list-item]
        ),
    ).fit()


def near_empty_loop() -> None:
    """Report when the first line could run that needs torch, as every training loop's does."""
    import ray.train
    import torch  # noqa: F401

    ray.train.report({"first_line": time.time()})
