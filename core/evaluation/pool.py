"""Evaluation of blocks on a Ray cluster, with several blocks at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import ray
from ray.exceptions import ActorDiedError, RayError, RayTaskError

from core.cluster.broken_gpus import open_assigned_device
from core.cluster.key_server import Grant, KeyServer, use_keys_of
from core.config import RunOptions
from core.evaluation.blocks import Block
from core.storage.rights import Rights


class EvaluationError(RuntimeError):
    """An attack on a block failed, or no worker can use its GPU."""


class Task(Protocol):
    """Work on one block of one checkpoint, in types that Ray can send to a worker."""

    @property
    def store(self) -> str:
        """Root of the store with the checkpoint, which also receives the result."""

    @property
    def file(self) -> str:
        """Name of the checkpoint."""

    @property
    def block(self) -> Block:
        """The block of images."""

    @property
    def rights(self) -> Rights:
        """The rights that the work needs on a storage in a bucket."""

    def finished(self) -> Any:
        """The stored result; None if there is none."""

    def run(self, device_name: str) -> Any:
        """Do the work on ``cpu`` or ``cuda``, store its result and return it."""


class BlockWorker:
    """An actor that attacks or measures one block after the other on the device that Ray assigned to it.

    An actor keeps its process, and with it the GPU, the network and the images. Tasks would share processes, and a
    process goes on using the GPU of its first task, whichever GPU Ray assigns to the next one.
    """

    def __init__(self, device_share: float) -> None:
        self.device = open_assigned_device(device_share)

    def ready(self) -> None:
        """Return as soon as the actor has started."""

    def evaluate(self, task: Task, grant: Grant | None) -> Any:
        """See `Task.run`. The keys are those of ``grant``; None: those of this process."""
        use_keys_of(grant)
        return task.run(self.device.type)


def run_on_ray(
    tasks: Sequence[Task], run: RunOptions, slots: int, key_server: KeyServer | None = None
) -> Iterator[tuple[int, Any]]:
    """Evaluate blocks on the connected cluster, ``slots`` at once.

    A block whose worker dies is started again and continues after its last finished attack. A worker whose GPU cannot
    be used gets no block.

    Args:
        tasks: the blocks.
        run: the resources of a worker.
        slots: largest number of workers.
        key_server: where workers get their keys; None: they have keys of their own.

    Yields:
        The index of each task and its results, in the order in which the tasks finish.

    Raises:
        EvaluationError: an attack failed, or no worker can start; the results of finished attacks are stored.
    """
    bare: Any = ray.remote(BlockWorker)
    actor = bare.options(
        num_cpus=run.cpus_per_worker,
        num_gpus=run.gpus_per_worker,
        max_restarts=run.max_failures,
        max_task_retries=run.max_failures,
    )
    workers = [actor.remote(float(run.gpus_per_worker or 1)) for _ in range(min(slots, len(tasks)))]
    # A worker gets its first block when it has started: on a cluster that grows, some workers start much later.
    running: dict[ray.ObjectRef, tuple[Any, int | None]] = {worker.ready.remote(): (worker, None) for worker in workers}
    waiting = iter(range(len(tasks)))
    left = len(tasks)
    while left:
        (done,), _ = ray.wait(list(running), num_returns=1)
        worker, index = running.pop(done)
        try:
            result = ray.get(done)
        except RayError as error:
            if index is None and isinstance(error, ActorDiedError) and running:
                continue
            raise _explained(error, None if index is None else tasks[index]) from error
        if (following := next(waiting, None)) is not None:
            task = tasks[following]
            running[worker.evaluate.remote(task, key_server and key_server.grant(task.rights))] = (worker, following)
        if index is not None:
            left -= 1
            yield index, result


def _explained(error: RayError, task: Task | None) -> EvaluationError:
    cause = error.cause if isinstance(error, RayTaskError) else error
    lines = str(cause).strip().splitlines() or [""]
    if task is None:
        # Ray shows the error of an actor's start in the last line of its message.
        return EvaluationError(f"no worker can start: {lines[-1][:300]}")
    where = f"images {task.block.start} to {task.block.stop - 1} of {task.store}/{task.file}"
    more = ""
    if type(cause).__name__ == "OutOfMemoryError":
        more = "; give a larger --gpus-per-worker, or a smaller --block, which changes the attacks' random numbers"
    return EvaluationError(f"{where}: {type(cause).__name__}: {lines[0][:300]}{more}")
