"""What a trial costs before and after its training: ours against a stock nested TorchTrainer."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

from jobs.speed.cpu_meter import PROC, CpuMeter
from jobs.speed.result import Result, Settings, Unit
from jobs.speed.start_up_trial import ALONE, GROUP, POLL, STOCK, run_near_empty_trial

TRIALS = 3


class Cost(NamedTuple):
    """Of `TRIALS` trials that follow each other.

    Attributes:
        wall: seconds from Tune's start to its end.
        later: seconds from the start of the second trial to its loop's first line.
        cpu: CPU-seconds of all processes.
    """

    wall: float
    later: float
    cpu: float | None


def start_up_costs(settings: Settings) -> Iterator[Result]:
    """A few trials of each kind in turns, one at a time, in one local Ray with the sweep's own environment.

    Tune's start and end are part of each turn, for all kinds. The first round warms up.
    """
    import ray

    from core.cluster.connect import connect

    settings = settings.fewer(2)
    settings.say("start-up: starting Ray")
    connect("local")
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    try:
        kinds = (ALONE, GROUP, STOCK)
        rounds = [{kind: run_trials(kind, settings) for kind in kinds} for _ in range(settings.repeats + 1)][1:]
    finally:
        ray.shutdown()
    stock = [turn[STOCK] for turn in rounds]
    for kind, name in {ALONE: "trials in Tune's own process", GROUP: "our worker groups of one"}.items():
        ours = [turn[kind] for turn in rounds]
        compared = f"{TRIALS} stock TorchTrainer trials / {name}"
        yield _ratio(f"{compared}: wall time", "wall", stock, ours, "s")
        if ours[0].cpu is not None:
            yield _ratio(f"{compared}: CPU-seconds", "cpu", stock, ours, "CPU-s")
        later = tuple(cost.later for cost in ours)
        yield Result("start-up", f"{name}: a later trial's start to its first line", later, "s")


def run_trials(trainer: str, settings: Settings) -> Cost:
    """`TRIALS` trials of one kind, one after the other."""
    from ray import tune

    from core.cluster.connect import ENVIRONMENT, HEAD, HEAD_SHARE
    from jobs.speed.start_up_watch import Watch

    resources: dict[str, Any] = {"CPU": 1} if trainer == ALONE else {"CPU": 0, HEAD: HEAD_SHARE}
    watch = Watch(lambda line: settings.say(f"start-up: {line}"))
    with tempfile.TemporaryDirectory(prefix="unmask-", ignore_cleanup_errors=True) as scratch:
        run = {"scratch": scratch, "poll_s": ENVIRONMENT[POLL], "trainer": trainer}
        tuner = tune.Tuner(
            tune.with_resources(run_near_empty_trial, resources),
            param_space={"run": tune.grid_search([run] * TRIALS)},
            tune_config=tune.TuneConfig(
                max_concurrent_trials=1, reuse_actors=trainer == ALONE, trial_dirname_creator=lambda t: t.trial_id
            ),
            run_config=tune.RunConfig(name="tune", storage_path=scratch, verbose=0, callbacks=[watch]),
        )
        meter = CpuMeter() if PROC.exists() else None
        started = time.perf_counter()
        with meter or nullcontext():
            tuner.fit()
            wall = time.perf_counter() - started
            cpu = meter.seconds() if meter else None
    return Cost(wall, watch.waited[1], cpu)


def _ratio(compared: str, field: str, stock: list[Cost], ours: list[Cost], unit: Unit) -> Result:
    theirs, mine = ([getattr(cost, field) for cost in costs] for costs in (stock, ours))
    means = [sum(values) / len(values) for values in (theirs, mine)]
    note = f"mean {means[0]:.1f} and {means[1]:.1f} {unit}"
    return Result("start-up", compared, tuple(a / b for a, b in zip(theirs, mine, strict=True)), "x", None, note)
