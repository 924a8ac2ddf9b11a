"""Evaluation of blocks on a Ray cluster, with several blocks at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import ray
from ray.exceptions import RayError, RayTaskError

from core.config import RunOptions
from core.evaluation.block_run import Correct
from core.evaluation.task import BlockTask, evaluate_block_on_ray


class EvaluationError(RuntimeError):
    """An attack on a block failed."""


def run_on_ray(tasks: Sequence[BlockTask], run: RunOptions, slots: int) -> Iterator[tuple[int, Correct]]:
    """Evaluate blocks on the connected cluster, ``slots`` at once.

    A block whose worker dies is started again and continues after its last finished attack.

    Yields:
        The index of each task and its results, in the order in which the tasks finish.

    Raises:
        EvaluationError: an attack failed; the results of finished attacks are stored.
    """
    remote = ray.remote(evaluate_block_on_ray).options(
        num_cpus=run.cpus_per_worker, num_gpus=run.gpus_per_worker, max_retries=run.max_failures
    )
    sent = 0
    running: dict[ray.ObjectRef, int] = {}
    while sent < len(tasks) or running:
        while len(running) < slots and sent < len(tasks):
            running[remote.remote(tasks[sent])] = sent
            sent += 1
        done, _ = ray.wait(list(running), num_returns=1)
        index = running.pop(done[0])
        task = tasks[index]
        try:
            correct = ray.get(done[0])
        except RayError as error:
            cause = error.cause if isinstance(error, RayTaskError) else error
            lines = str(cause).strip().splitlines() or [""]
            raise EvaluationError(
                f"images {task.block.start} to {task.block.stop - 1} of {task.store}/{task.file}: "
                f"{type(cause).__name__}: {lines[0][:300]}"
            ) from error
        yield index, correct
