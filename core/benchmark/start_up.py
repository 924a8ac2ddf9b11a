"""What a trial costs before and after its training: our lean worker group against a stock nested TorchTrainer."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

from core.benchmark.cpu_meter import PROC, CpuMeter
from core.benchmark.result import Result, Settings
from core.benchmark.start_up_trial import LEAN, POLL, STOCK, run_near_empty_trial


class TrialCost(NamedTuple):
    """Seconds from a trial's start to its loop's first line, and to the next trial's start; CPU-seconds to there."""

    first_line: float
    whole: float
    cpu: float | None


def start_up_costs(settings: Settings) -> Iterator[Result]:
    """Trials in turns, one at a time, in one local Ray with the sweep's own environment.

    The stock trainer gets back Train's default polling. A trial lasts until the next one starts: its processes' end is
    part of it. The first pair warms up, and one more trial at the end only ends its predecessor.
    """
    settings = settings.fewer(2)
    costs = run_trials([LEAN, STOCK] * (settings.repeats + 1) + [LEAN], settings)[2:]
    lean, stock = costs[::2], costs[1::2]
    setting = "trial of 1 worker"
    for name, field in {"start to first line": "first_line", "start to next trial's start": "whole"}.items():
        yield _ratio(f"stock / lean, {name}; {setting}", field, stock, lean, "s")
    if lean[0].cpu is not None:
        yield _ratio(f"stock / lean, CPU-seconds; {setting}", "cpu", stock, lean, "CPU-s")


def run_trials(trainers: list[str], settings: Settings) -> list[TrialCost]:
    """Costs of all trials but the last, in their order."""
    import ray
    from ray import tune

    from core.benchmark.start_up_watch import Watch
    from core.sweep.cluster import ENVIRONMENT, HEAD, HEAD_SHARE, connect

    settings.say("start-up: starting Ray")
    connect("local")
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    try:
        with tempfile.TemporaryDirectory(prefix="unmask-", ignore_cleanup_errors=True) as scratch:
            shared = {"scratch": scratch, "poll_s": ENVIRONMENT[POLL]}
            meter = CpuMeter() if PROC.exists() else None
            watch = Watch(settings.say, meter)
            tuner = tune.Tuner(
                tune.with_resources(run_near_empty_trial, {"CPU": 0, HEAD: HEAD_SHARE}),
                param_space={"run": tune.grid_search([{**shared, "trainer": name} for name in trainers])},
                tune_config=tune.TuneConfig(max_concurrent_trials=1, trial_dirname_creator=lambda t: t.trial_id),
                run_config=tune.RunConfig(name="tune", storage_path=scratch, verbose=0, callbacks=[watch]),
            )
            if meter:
                with meter:
                    tuner.fit()
            else:
                tuner.fit()
    finally:
        ray.shutdown()
    return [
        TrialCost(
            watch.first_lines[key] - started,
            ended - started,
            None if cpu is None or cpu_then is None else cpu_then - cpu,
        )
        for (key, started, cpu), (_, ended, cpu_then) in zip(watch.starts, watch.starts[1:], strict=False)
    ]


def _ratio(compared: str, field: str, stock: list[TrialCost], lean: list[TrialCost], unit: str) -> Result:
    theirs, ours = ([getattr(cost, field) for cost in costs] for costs in (stock, lean))
    means = [sum(values) / len(values) for values in (theirs, ours)]
    note = f"mean {means[0]:.1f} and {means[1]:.1f} {unit}"
    return Result("start-up", compared, tuple(a / b for a, b in zip(theirs, ours, strict=True)), "x", None, note)
