"""Time and memory of the analysis and the report of a sweep, and their growth with the number of trials."""

from __future__ import annotations

import itertools
import math
import multiprocessing as mp
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from core.allocation.synthetic_records import synthetic_records
from core.allocation.truth import CellTruth, SyntheticTrials
from core.config import Cell
from core.records import TrialRecord
from jobs.speed.result import Goal, Result, Settings

EPOCHS = 200
FACTORS = {"beta": (1, 3, 6), "batch_size": (64, 128, 256), "lr": (0.02, 0.1, 0.3)}

GOALS = {10_000: (Goal("<=", 15), Goal("<=", 600))}
"""Bounds on seconds and MB by the number of trials."""


class AnalysisCost(NamedTuple):
    """Seconds of one analysis, and the memory of its process in MB, before the analysis and at its peak."""

    seconds: float
    before: float
    peak: float


def analysis_costs(settings: Settings) -> Iterator[Result]:
    """Measure all sizes in turn, each in a new process without caches, whose peak memory belongs to one analysis."""
    sizes = settings.analysis_trials
    turns = settings.fewer(1).repeats
    costs: dict[int, list[AnalysisCost]] = {size: [] for size in sizes}
    for _ in range(turns):
        for size in sizes:
            settings.say(f"analysis: {size:,} trials x {EPOCHS} epochs")
            with ProcessPoolExecutor(1, mp_context=mp.get_context("spawn")) as process:
                costs[size].append(process.submit(measure, settings.analyse, size).result())
    what = "rates, onset curves, effects, report"
    for size in sizes:
        setting = f"{what}; {size:,} trials x {EPOCHS} epochs"
        goals = GOALS.get(size, (None, None))
        yield Result("analysis", f"time; {setting}", tuple(cost.seconds for cost in costs[size]), "s", goals[0])
        note = f"peak, of which {costs[size][0].before:.0f} MB are modules and records from before the analysis"
        yield Result("analysis", f"memory; {setting}", tuple(cost.peak for cost in costs[size]), "MB", goals[1], note)
    for small, large in itertools.pairwise(sizes):
        growth = tuple(b.seconds / a.seconds for a, b in zip(costs[small], costs[large], strict=True))
        exponent = math.log(growth[0]) / math.log(large / small)
        note = f"{large / small:.2f} times the trials: time grows with their number to the power {exponent:.2f}"
        yield Result("analysis", f"seconds for {large:,} / {small:,} trials", growth, "x", None, note)


def measure(analyse: Callable[[Sequence[Any], Path], None], trials: int) -> AnalysisCost:
    """Make synthetic records and measure their analysis."""
    records = make_records(trials)
    # reset the peak memory, so that it does not include making the records
    Path("/proc/self/clear_refs").write_text("5")
    before = _megabytes("VmRSS")
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        analyse(records, Path(folder) / "report.html")
        seconds = time.perf_counter() - started
    return AnalysisCost(seconds, before, _megabytes("VmHWM"))


def make_records(trials: int) -> list[TrialRecord]:
    """Synthetic records of a sweep of 27 cells with rising rates of instability; every fifth trial is an audit."""
    cells = [
        Cell.from_flat({**dict(zip(FACTORS, values, strict=True)), "epochs": EPOCHS}).flat()
        for values in itertools.product(*FACTORS.values())
    ]
    truths = tuple(
        CellTruth(
            rate=(index + 1) / (len(cells) + 1),
            epochs=EPOCHS,
            onset_epochs=tuple(range(20, 180, 5)),
            healing=0.1,
            censored=0.02,
        )
        for index in range(len(cells))
    )
    world = SyntheticTrials(truths, seed=0)
    runs = []
    for number in range(trials):
        seed, cell = divmod(number, len(cells))
        runs.append(world.run(cell, seed, seed, audited=number % 5 == 0, stop=False, confirm_delay=5))
    return synthetic_records(runs, truths, cells)


def _megabytes(name: str) -> float:
    """Memory of this process in MB: ``VmRSS`` is the current size, ``VmHWM`` the peak."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024
