"""Reference records of undisturbed trials, trained by the engine without Ray, S3 and MLflow."""

from __future__ import annotations

import os
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context

from tests.chaos.sweeps import SweepCommand
from tests.without_ray import Record, train


class Reference:
    """A context manager that trains in processes of a low priority, while the sweeps run."""

    def __enter__(self) -> Reference:
        """Start the processes."""
        self._pool = ProcessPoolExecutor(2, get_context("spawn"), initializer=_prepare)
        self._records: dict[tuple[str, int], Future[dict[str, Record]]] = {}
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)

    def prepare(self, sweep: SweepCommand, seeds: int) -> None:
        """Start the training of the first ``seeds`` seeds, except those already started."""
        for seed in range(seeds):
            if (sweep.name, seed) not in self._records:
                self._records[sweep.name, seed] = self._pool.submit(_train_seed, sweep, seed)

    def records(self, sweep: SweepCommand, seeds: int) -> dict[str, Record]:
        """The records by key, in JSON types."""
        self.prepare(sweep, seeds)
        return {k: r for seed in range(seeds) for k, r in self._records[sweep.name, seed].result().items()}


def _prepare() -> None:
    os.nice(5)
    import torch

    torch.set_num_threads(1)


def _train_seed(sweep: SweepCommand, seed: int) -> dict[str, Record]:
    trials, protocol = sweep.trials(seed + 1)
    return {trial.key: train(trial, protocol, sweep.name) for trial in trials if trial.seed == seed}
