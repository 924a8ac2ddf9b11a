"""A simulation of a sweep without Ray: the real allocator, and a model of the stopping rule on synthetic trials."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import Field

from core.allocation.allocator import SeedAllocator, Signal
from core.allocation.audit import is_audited
from core.allocation.certainty import Certainty
from core.allocation.truth import SimulatedTrial, SyntheticTrials
from core.config.base import Options


class StoppingPolicy(Options):
    """The rule by which trials are stopped after their onset."""

    stop: bool = Field(True, description="stop an unstable trial when its alarm is confirmed")
    confirm_delay: int = Field(2, ge=0, description="epochs from the onset to the confirmed alarm")
    audit: float = Field(0.0, ge=0, le=1, description="share of trials that are never stopped")


@dataclass(frozen=True)
class SimulatedSweep:
    """The result of a simulated sweep."""

    trials: list[SimulatedTrial]
    """All trials in the order in which they ended."""
    counts: list[tuple[int, int]]
    """(ever unstable, finished) per cell, pilot trials included."""
    reached: list[bool]
    """For each cell, True if the certainty goal is reached."""
    epochs: int
    """Trained epochs of all trials."""
    device_seconds: float
    wall_seconds: float
    """Duration of the sweep in seconds, with one device per concurrent trial."""


def simulate(
    trials: SyntheticTrials,
    certainty: Certainty,
    policy: StoppingPolicy,
    *,
    concurrency: int = 1,
    sweep: str = "simulated",
    pilot: Sequence[tuple[int, int]] | None = None,
    watch: Callable[[SeedAllocator], None] | None = None,
) -> SimulatedSweep:
    """Simulate a sweep until its goal is reached or its budget is spent.

    Args:
        trials: the synthetic trials of all cells.
        certainty: goal and interval; many simulations may share one object, which caches its results.
        policy: the rule for stopping and for the audit arm.
        concurrency: number of trials that run at once.
        sweep: name of the sweep, which decides which trials are audited.
        pilot: (unstable, finished) of each cell in an earlier sweep, whose cost is not counted.
        watch: called with the allocator after every result.
    """
    allocator = SeedAllocator(len(trials.truths), certainty)
    for cell, (unstable, finished) in enumerate(pilot or ()):
        for seed in range(finished):
            allocator.observe(cell, seed, seed < unstable, 0.0)
    ended: list[SimulatedTrial] = []
    running: list[tuple[float, int, SimulatedTrial]] = []
    now, started = 0.0, 0
    while True:
        while len(running) < concurrency and not isinstance(chosen := allocator.next_trial(), Signal):
            cell, seed = chosen
            audited = policy.audit > 0 and is_audited(sweep, str(cell), seed, policy.audit)
            trial = trials.run(cell, seed, seed, audited=audited, stop=policy.stop, confirm_delay=policy.confirm_delay)
            started += 1
            heapq.heappush(running, (now + trials.seconds(trial, trial.seed), started, trial))
        if not running:
            break
        now, _, trial = heapq.heappop(running)
        ended.append(trial)
        allocator.observe(trial.cell, trial.seed, trial.ever_unstable, trials.seconds(trial, trial.seed))
        if watch is not None:
            watch(allocator)
    cells = range(len(trials.truths))
    return SimulatedSweep(
        trials=ended,
        counts=[allocator.counts(cell) for cell in cells],
        reached=[allocator.reached(cell) for cell in cells],
        epochs=sum(trial.epochs for trial in ended),
        device_seconds=sum(trials.seconds(trial, trial.seed) for trial in ended),
        wall_seconds=now,
    )
