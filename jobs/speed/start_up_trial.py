"""The trials of the start-up row: as near to nothing as a training loop gets."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

ALONE, GROUP, STOCK = "alone", "group", "stock"
POLL = "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"


def run_near_empty_trial(config: dict[str, Any]) -> None:
    """Alone in the Tune trial's process, or in a worker group of one: our `LeanTrainer`'s or a stock TorchTrainer's.

    ``config["run"]`` holds the ``trainer``'s name, a ``scratch`` folder and ``poll_s``, the seconds between polls of
    our group. Nothing of ours is imported for the stock one, which polls as Train does by default.
    """
    run = config["run"]
    if run["trainer"] == ALONE:
        import torch  # noqa: F401
        from ray import tune

        tune.report({"first_line": time.time()})
        return
    import ray.train
    from ray.tune.integration.ray_train import TuneReportCallback

    if run["trainer"] == GROUP:
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
