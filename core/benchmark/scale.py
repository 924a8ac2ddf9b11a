"""How the driver's time, memory and files grow with the number of trials: sweeps of nothing, and simulated ones."""

from __future__ import annotations

import multiprocessing as mp
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from core.allocation import AllocationGoal, Certainty, StoppingPolicy
from core.allocation.simulate import simulate
from core.allocation.truth import CellTruth, SyntheticTrials
from core.benchmark.result import Result, Settings, Unit
from core.benchmark.scale_sweep import DriverCost, run_empty_sweep

FEWEST = 10
"""The smallest sweep: what it takes, a sweep of any size takes, so growth is measured from here."""
CELLS = 10
Measure = tuple[str, Callable[[DriverCost], float], Unit]
MEASURES: tuple[Measure, ...] = (
    ("time from first start to last end", lambda cost: cost.seconds, "s"),
    ("time until MLflow has the rest", lambda cost: cost.written, "s"),
    ("CPU time of the driver", lambda cost: cost.cpu, "CPU-s"),
    ("memory of the driver at its largest", lambda cost: cost.megabytes, "MB"),
    ("files", lambda cost: cost.files, "files"),
    ("stored", lambda cost: cost.stored, "MB"),
)


def scale_costs(settings: Settings) -> Iterator[Result]:
    """Every size in turn, each in a process of its own with a Ray of its own; then the simulator, here."""
    sizes = settings.driver_trials
    costs: dict[int, DriverCost] = {}
    for size in (FEWEST, *sizes):
        settings.say(f"scale: {size:,} trials that train nothing, through the driver")
        with ProcessPoolExecutor(1, mp_context=mp.get_context("spawn")) as process:
            costs[size] = process.submit(run_empty_sweep, settings.tabulate, size).result()
    for what, value, unit in MEASURES:
        least = value(costs[FEWEST])
        more = [value(costs[size]) - least for size in sizes]
        note = _growth([size - FEWEST for size in sizes], more)
        for size, extra in zip(sizes, more, strict=True):
            each = f"{1000 * extra / (size - FEWEST):.3g} {unit} per 1,000 trials beyond the first {FEWEST}"
            last = f"{each}; {note}" if size == sizes[-1] else each
            yield Result("scale", f"{what}; {size:,} trials", (value(costs[size]),), unit, None, last)
    yield from _simulated(settings)


def _simulated(settings: Settings) -> Iterator[Result]:
    seconds = []
    for size in settings.simulated_trials:
        settings.say(f"scale: {size:,} trials in the simulator")
        started = time.perf_counter()
        truths = tuple(CellTruth(rate=(i + 1) / (CELLS + 1), epochs=200, onset_epochs=(50,)) for i in range(CELLS))
        certainty = Certainty(AllocationGoal(max_trials=size), _rule_of_thumb)
        found = simulate(SyntheticTrials(truths, seed=0), certainty, StoppingPolicy(audit=0.2), concurrency=8)
        if len(found.trials) != size:
            raise RuntimeError(f"the simulator ended after {len(found.trials)} of {size} trials")
        seconds.append(time.perf_counter() - started)
        last = _growth(settings.simulated_trials, seconds) if size == settings.simulated_trials[-1] else ""
        yield Result(
            "scale", f"simulated sweep of {CELLS} cells, 8 at a time; {size:,} trials", (seconds[-1],), "s", None, last
        )


def _rule_of_thumb(unstable: int, finished: int) -> tuple[float, float]:
    """An interval that costs nothing: here the allocator is measured."""
    rate, half = (unstable + 1) / (finished + 2), 1 / (finished + 4) ** 0.5
    return max(0.0, rate - half), min(1.0, rate + half)


def _growth(sizes: Sequence[int], costs: Sequence[float]) -> str:
    """The exponent of a power law through the points."""
    if len(sizes) < 2 or min(costs) <= 0:
        return "no growth that could be fitted"
    exponent = np.polyfit(np.log(sizes), np.log(costs), 1)[0]
    return f"grows with their number to the power {exponent:.2f}"
