"""The evaluation of targets: stored results are read, missing blocks run on Ray, finished targets are passed on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ray
from rich.console import Console

from core.cluster.capacity import fitting_trials
from core.cluster.connect import with_gpus_of_cluster
from core.cluster.join import join_cluster
from core.cluster.key_server import KeyServer
from core.config import RunOptions
from core.config.default_paths import data_root, worker_role
from core.evaluation.options import EvaluationOptions
from core.evaluation.pool import run_on_ray
from core.evaluation.target import MeasureTarget, Target
from core.quantity import quantity
from core.records import Measured, Measurement
from core.steps import Steps
from core.storage import Store
from core.storage.hidden_keys import HiddenKeys
from core.storage.role import Role

Finished = Callable[[Target | MeasureTarget, tuple[Measurement, ...] | Measured], None]


def run_targets(
    store: Store,
    targets: Sequence[Target | MeasureTarget],
    options: EvaluationOptions,
    run: RunOptions,
    console: Console,
    role: Role | None,
    finished: Finished,
) -> bool:
    """Evaluate all targets, whose checkpoints are in ``store``. ``finished`` is called once for each target.

    Workers get keys of ``role``; None: they have keys of their own.

    Returns:
        True if the evaluation was interrupted; the results of finished attacks are stored.

    Raises:
        ValueError: the cluster cannot be used, or one of its nodes cannot read the store.
        EvaluationError: an attack failed; the results of finished attacks are stored.
    """
    results = _stored(targets)
    places = [(t, b) for t, blocks in enumerate(results) for b, found in enumerate(blocks) if found is None]
    progress = Steps(console, "blocks", len(places))
    known = sum(len(blocks) for blocks in results) - len(places)
    console.print(f"{quantity(len(places), 'block')} to evaluate, {known} stored already", highlight=False)

    def hand_over(number: int) -> None:
        whole = [found for found in results[number] if found is not None]
        if len(whole) == len(targets[number].tasks):
            found = targets[number].collect(whole, options)
            progress.say(_result(targets[number].label, found))
            finished(targets[number], found)

    for number in range(len(targets)):
        hand_over(number)
    if not places:
        return False
    key_server = KeyServer(role) if role else None
    try:
        with HiddenKeys() as keys:
            if role:
                keys.hide()  # before a local cluster starts, whose processes would inherit them
            join_cluster(run.address, store, console, key_server)
        run = with_gpus_of_cluster(run)
        pending = [targets[number].tasks[block] for number, block in places]
        with progress:
            for index, result in run_on_ray(pending, run, fitting_trials(run, 1), key_server):
                number, block = places[index]
                results[number][block] = result
                progress.advance()
                hand_over(number)
    except KeyboardInterrupt:
        return True
    finally:
        if key_server:
            key_server.close()
        ray.shutdown()
    return False


def open_role(
    targets: Sequence[Target | MeasureTarget], options: EvaluationOptions, run: RunOptions, storage: str
) -> Role | None:
    """The role whose keys workers get, after it was assumed once; None: workers have keys of their own.

    Args:
        targets: what is evaluated.
        options: the options of the evaluation.
        run: the options of the run.
        storage: absolute folder or ``s3://`` address of what is evaluated.

    Raises:
        UnreachableError: the server does not answer.
        ValueError: the role cannot be used, or not with these inputs.
    """
    arn = worker_role(run.worker_role, storage)
    if arn is None:
        return None
    role = Role(arn, storage)
    role.check_inputs(data_root(run.data_dir), [("--source", options.source)] if options.source else [])
    role.check([target.tasks[0].rights for target in targets])
    return role


def _result(label: str, found: Sequence[Measurement] | Measured) -> str:
    """The results of a checkpoint whose blocks are all finished, in one line."""
    if isinstance(found, Measured):
        numbers = ", ".join(f"{name} {'not finite' if v is None else f'{v:.4g}'}" for name, v in found.values.items())
        return f"{label}: {numbers} ({found.images} images)"
    return f"{label}: {', '.join(f'{m.label} {m.accuracy:.3f}' for m in found)} ({found[0].images} images)"


def _stored(targets: Sequence[Target | MeasureTarget]) -> list[list[Any]]:
    with ThreadPoolExecutor(16) as pool:
        return [list(pool.map(lambda task: task.finished(), target.tasks)) for target in targets]
