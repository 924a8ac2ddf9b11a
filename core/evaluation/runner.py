"""The evaluation of targets: stored results are read, missing blocks run on Ray, finished targets are passed on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import ray
from rich.console import Console

from core.cluster.connect import fitting_trials, with_gpus_of_cluster
from core.cluster.join import join_cluster
from core.config import RunOptions
from core.evaluation.block_run import Correct
from core.evaluation.collect import measurements
from core.evaluation.options import EvaluationOptions
from core.evaluation.pool import run_on_ray
from core.evaluation.target import Target
from core.quantity import quantity
from core.records import Measurement
from core.steps import Steps
from core.storage import Store

Finished = Callable[[Target, tuple[Measurement, ...]], None]


def run_targets(
    store: Store,
    targets: Sequence[Target],
    options: EvaluationOptions,
    run: RunOptions,
    console: Console,
    finished: Finished,
) -> bool:
    """Evaluate all targets, whose checkpoints are in ``store``. ``finished`` is called once for each target.

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
    console.print(f"{quantity(len(places), 'block')} to attack, {known} stored already", highlight=False)

    def hand_over(number: int) -> None:
        whole = [correct for correct in results[number] if correct is not None]
        if len(whole) == len(targets[number].tasks):
            measured = measurements(targets[number].specs, whole, options)
            progress.say(_result(targets[number].label, measured))
            finished(targets[number], measured)

    for number in range(len(targets)):
        hand_over(number)
    if not places:
        return False
    try:
        join_cluster(run.address, store, console)
        run = with_gpus_of_cluster(run)
        pending = [targets[number].tasks[block] for number, block in places]
        with progress:
            for index, correct in run_on_ray(pending, run, fitting_trials(run, 1)):
                number, block = places[index]
                results[number][block] = correct
                progress.advance()
                hand_over(number)
    except KeyboardInterrupt:
        return True
    finally:
        ray.shutdown()
    return False


def _result(label: str, measured: Sequence[Measurement]) -> str:
    """The accuracies of a checkpoint whose blocks are all finished, in one line."""
    return f"{label}: {', '.join(f'{m.label} {m.accuracy:.3f}' for m in measured)} ({measured[0].images} images)"


def _stored(targets: Sequence[Target]) -> list[list[Correct | None]]:
    with ThreadPoolExecutor(16) as pool:
        return [list(pool.map(lambda task: task.results.finished(task.specs), target.tasks)) for target in targets]
