"""The trials of a sweep: a fixed number of seeds per cell, or seeds that an allocator adds adaptively."""

from __future__ import annotations

from collections.abc import Iterable

from core.allocation import AllocationGoal, Certainty, SeedAllocator, replay
from core.allocation.audit import is_audited
from core.allocation.certainty import IntervalOf
from core.config import Cell, Sweep, Trial
from core.config.cell import Allocation
from core.config.sweep import MAX_SEEDS
from core.records import TrialRecord


def make_trial(sweep: Sweep, cell: Cell, seed: int, group: int = 0, allocation: Allocation = "fixed") -> Trial:
    """A trial of one group of the sweep. This also decides whether the trial is audited, before it starts."""
    seed += group * MAX_SEEDS
    audited = is_audited(sweep.name, cell.id, seed, sweep.protocol.audit)
    rerun = sweep.rerun.of(cell) if sweep.rerun else None
    return Trial(cell=cell, seed=seed, pins=sweep.pin_groups[group], audit=audited, allocation=allocation, rerun=rerun)


def fixed_trials(sweep: Sweep) -> list[Trial]:
    """All trials, ordered by seed before cell, which gives every cell results early."""
    seeds = [entry.numbered(sweep.first_seed) for entry in sweep.entries]
    return [
        make_trial(sweep, entry.cell, numbers[k], group)
        for k in range(max(map(len, seeds)))
        for group in range(len(sweep.pin_groups))
        for entry, numbers in zip(sweep.entries, seeds, strict=True)
        if k < len(numbers)
    ]


def continued_allocator(
    sweep: Sweep, goal: AllocationGoal, interval: IntervalOf, records: Iterable[TrialRecord]
) -> SeedAllocator:
    """An allocator that knows the trials of earlier drivers, except for crashed ones, which are trained again."""
    allocator = SeedAllocator(len(sweep.entries), Certainty(goal, interval), sweep.first_seed)
    cells = {entry.cell.id: index for index, entry in enumerate(sweep.entries)}
    replay(allocator, (record for record in records if not record.crashed), cells)
    return allocator
