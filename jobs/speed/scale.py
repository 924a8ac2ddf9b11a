"""Growth of the driver's time, memory and files with the number of trials, in sweeps of empty and simulated trials."""

from __future__ import annotations

import multiprocessing as mp
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from core.allocation import AllocationGoal, Certainty, StoppingPolicy
from core.allocation.simulate import simulate
from core.allocation.truth import CellTruth, SyntheticTrials
from jobs.speed.result import Result, Settings, Unit
from jobs.speed.scale_sweep import DriverCost, run_empty_sweep

MIN_TRIALS = 10
"""Trials of the smallest sweep. Its cost is the fixed cost of any sweep; growth is measured relative to it."""
CELLS = 10
Measure = tuple[str, Callable[[DriverCost], float], Unit]
MEASURES: tuple[Measure, ...] = (
    ("time from first start to last end", lambda cost: cost.seconds, "s"),
    ("time from last end until MLflow has everything", lambda cost: cost.written, "s"),
    ("CPU time of the driver", lambda cost: cost.cpu, "CPU-s"),
    ("peak memory of the driver", lambda cost: cost.megabytes, "MB"),
    ("files", lambda cost: cost.files, "files"),
    ("stored", lambda cost: cost.stored, "MB"),
)


def scale_costs(settings: Settings) -> Iterator[Result]:
    """Measure all sizes in turn, each in a new process with a new Ray cluster; then the simulator in this process."""
    costs: dict[int, DriverCost] = {}
    for size in (MIN_TRIALS, *settings.driver_trials):
        settings.say(f"scale: {size:,} trials that train nothing, through the driver")
        with ProcessPoolExecutor(1, mp_context=mp.get_context("spawn")) as process:
            costs[size] = process.submit(run_empty_sweep, settings.tabulate, size).result()
    for what, value, unit in MEASURES:
        values = {size: value(cost) for size, cost in costs.items()}
        yield growth(f"driver, trials that train nothing: {what}", values, unit)
    yield growth(f"simulator, {CELLS} cells, 8 trials at a time: CPU time", _simulated(settings), "CPU-s")


def growth(what: str, values: Mapping[int, float], unit: Unit) -> Result:
    """The value of the largest size, with a note on the other sizes and on the growth beyond the smallest size.

    Args:
        what: what was measured.
        values: the values by the number of trials, the smallest size first.
        unit: their unit.
    """
    (fewest, least), *others = values.items()
    most = max(values)
    more = {size: value - least for size, value in others if value > least}
    note = ", ".join(f"{size:,}: {value:.3g}" for size, value in values.items() if size != most)
    if most in more:
        note += f"; {more[most] / (most - fewest):.2g} {unit} per further trial"
    if len(more) > 1:
        exponent = np.polyfit(np.log([size - fewest for size in more]), np.log(list(more.values())), 1)[0]
        note += f"; beyond {fewest} trials it grows with their number to the power {exponent:.2f}"
    return Result("scale", f"{what}; {most:,} trials", (values[most],), unit, None, note)


def _simulated(settings: Settings) -> dict[int, float]:
    seconds = {}
    for size in (MIN_TRIALS, *settings.simulated_trials):
        settings.say(f"scale: {size:,} trials in the simulator")
        started = time.process_time()
        truths = tuple(CellTruth(rate=(i + 1) / (CELLS + 1), epochs=200, onset_epochs=(50,)) for i in range(CELLS))
        certainty = Certainty(AllocationGoal(max_trials=size), _rule_of_thumb)
        found = simulate(SyntheticTrials(truths, seed=0), certainty, StoppingPolicy(audit=0.2), concurrency=8)
        if len(found.trials) != size:
            raise RuntimeError(f"the simulator ended after {len(found.trials)} of {size} trials")
        seconds[size] = time.process_time() - started
    return seconds


def _rule_of_thumb(unstable: int, finished: int) -> tuple[float, float]:
    """An interval that takes almost no time, because the allocator is measured and not the interval."""
    rate, half = (unstable + 1) / (finished + 2), 1 / (finished + 4) ** 0.5
    return max(0.0, rate - half), min(1.0, rate + half)
