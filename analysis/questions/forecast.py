"""The forecast of a sweep: the trials, device-hours and money that it needs to reach the asked certainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from core.allocation import (
    AllocationGoal,
    CellTruth,
    Certainty,
    StoppingPolicy,
    SyntheticTrials,
    simulate,
)
from core.allocation.certainty import IntervalOf

MAX_SIMULATED_TRIALS = 5_000_000
"""Largest number of trials that a forecast may simulate; they take about a minute."""


class Forecasted(NamedTuple):
    """Mean and 10, 50 and 90 % quantiles of a quantity over the simulations."""

    mean: float
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Forecast:
    """What a sweep still needs. The quantiles reflect random outcomes and, with a pilot, uncertain rates."""

    trials: Forecasted
    epochs: Forecasted
    device_hours: Forecasted
    wall_hours: Forecasted
    """Hours at the given concurrency, without start-up times."""
    money: Forecasted | None
    """Device-hours times the price; None without a price."""
    reached: float
    """Share of simulations in which every cell reached its certainty goal within the budget; 0 without a goal."""
    trials_per_cell: tuple[Forecasted, ...]
    simulations: int


def forecast(
    cells: Sequence[CellTruth],
    goal: AllocationGoal,
    interval: IntervalOf,
    *,
    policy: StoppingPolicy | None = None,
    pilot: Sequence[tuple[int, int]] | None = None,
    continue_pilot: bool = True,
    concurrency: int = 1,
    price_per_device_hour: float | None = None,
    simulations: int = 200,
    seed: int = 0,
) -> Forecast:
    """Forecast by repeated simulation of the sweep's own allocation and stopping.

    Args:
        cells: assumptions about each cell; with a pilot their `rate` is replaced.
        goal: certainty and budget of the sweep.
        interval: anytime interval of the allocator.
        policy: stopping and audit; default: stop and do not audit.
        pilot: (unstable, finished) of each cell. Each simulation draws the true rates from their Beta posterior under
            Jeffreys' prior, Beta(k + 1/2, n - k + 1/2); (0, 0) stands for a cell without a pilot trial.
        continue_pilot: whether the pilot's trials count towards the goal (same sweep) or only inform (another sweep).
        concurrency: number of trials that run at a time.
        price_per_device_hour: price in any currency.
        simulations: number of simulated sweeps.
        seed: seed of all draws.

    Raises:
        ValueError: the pilot has another number of cells, or `until_width` needs more than `MAX_SIMULATED_TRIALS`.
    """
    if pilot is not None and len(pilot) != len(cells):
        raise ValueError(f"pilot has {len(pilot)} cells; allowed: {len(cells)}, as many as the sweep")
    rng = np.random.default_rng(seed)
    certainty = Certainty(goal, interval)
    _check_effort(certainty, len(cells), simulations)
    sweeps = []
    for simulation in range(simulations):
        truths = tuple(cells)
        if pilot is not None:
            rates = [rng.beta(k + 0.5, n - k + 0.5) for k, n in pilot]
            truths = tuple(CellTruth(**{**dict(cell), "rate": r}) for cell, r in zip(cells, rates, strict=True))
        known = pilot if continue_pilot else None
        trials = SyntheticTrials(truths, seed=seed + 1 + simulation)
        sweeps.append(
            simulate(
                trials,
                certainty,
                policy or StoppingPolicy(),
                concurrency=concurrency,
                sweep=f"plan-{simulation}",
                pilot=known,
            )
        )
    hours = [sweep.device_seconds / 3600 for sweep in sweeps]
    per_cell = [np.bincount([t.cell for t in sweep.trials], minlength=len(cells)) for sweep in sweeps]
    return Forecast(
        trials=_summary([len(sweep.trials) for sweep in sweeps]),
        epochs=_summary([sweep.epochs for sweep in sweeps]),
        device_hours=_summary(hours),
        wall_hours=_summary([sweep.wall_seconds / 3600 for sweep in sweeps]),
        money=None if price_per_device_hour is None else _summary([price_per_device_hour * h for h in hours]),
        reached=sum(all(sweep.reached) for sweep in sweeps) / simulations,
        trials_per_cell=tuple(_summary(counts) for counts in np.transpose(per_cell)),
        simulations=simulations,
    )


def _check_effort(certainty: Certainty, cells: int, simulations: int) -> None:
    goal = certainty.goal
    if goal.until_width is None or goal.max_trials is not None:
        return
    per_cell = 2
    while not certainty.reached(per_cell // 2, per_cell):
        per_cell *= 2
        if per_cell * cells * simulations > 2 * MAX_SIMULATED_TRIALS:
            raise ValueError(
                f"until_width {goal.until_width} takes more than {per_cell // 2} trials of a cell with rate 1/2: "
                f"set max_trials, a larger width, or fewer than {simulations} simulations"
            )


def _summary(values: Sequence[float] | np.ndarray) -> Forecasted:
    low, median, high = np.quantile(values, [0.1, 0.5, 0.9])
    return Forecasted(float(np.mean(values)), float(low), float(median), float(high))
