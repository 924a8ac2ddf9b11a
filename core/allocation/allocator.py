"""Adaptive allocation of seeds to cells."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from core.allocation.cell_state import CellState
from core.allocation.certainty import Certainty


class Signal(Enum):
    """Why there is no next trial."""

    WAIT = "wait"
    """Results of pending trials decide whether more are needed."""
    FINISHED = "finished"
    """The goal is reached or the budget spent, and nothing is pending."""


WAIT: Literal[Signal.WAIT] = Signal.WAIT
FINISHED: Literal[Signal.FINISHED] = Signal.FINISHED

_Rank = tuple[int, float, int]


class SeedAllocator:
    """Says which (cell, seed) to train next, so that the sweep reaches its goal with few trials. Deterministic.

    The order: first seeds that were requeued or lost; then every cell up to `min_seeds`; then the cell that needs a
    seed most by `Certainty.priority`. Pending trials count as if they had finished at their cell's rate so far: a cell
    whose goal these would reach waits for them instead of starting more, and the next seed goes to another one.

    **What makes the intervals honest.** A stopped unstable trial ends before a stable one that started with it, so the
    results *known at a moment* are too often unstable, and no interval for k/n covers as it says on them. A cell's
    results *in the order of its seeds* are independent draws whatever the allocation does, and an anytime interval
    covers all their prefixes at once: also one that was chosen by looking. So `counts` are those of the longest prefix
    of seeds that all have a result, and the goal counts as reached only when nothing is pending and the prefix is all.
    That holds if censoring doesn't depend on the outcome; a crash rate *per epoch* spares trials that stop early.

    Args:
        cells: number of cells.
        certainty: the goal and its interval.
        first_seed: the k-th seed of every cell is `first_seed + k`, so trials of two cells are paired by seed.
    """

    def __init__(self, cells: int, certainty: Certainty, first_seed: int = 0) -> None:
        self.certainty = certainty
        self.first_seed = first_seed
        self._cells = [CellState() for _ in range(cells)]
        self._ranks = [self._rank(cell) for cell in self._cells]

    def next_trial(self) -> tuple[int, int] | Signal:
        """(cell index, seed) to start now, counted as pending from here on, or why there is none."""
        candidates = [(rank, index) for index, rank in enumerate(self._ranks) if rank is not None]
        if not candidates or not self._within_budget():
            return WAIT if any(cell.pending for cell in self._cells) else FINISHED
        _, chosen = min(candidates)
        cell = self._cells[chosen]
        index = cell.next_index()
        cell.pending.add(index)
        self._ranks[chosen] = self._rank(cell)
        return chosen, self.first_seed + index

    def observe(self, cell: int, seed: int, outcome: bool | None, device_seconds: float) -> None:
        """Take in a result: ever unstable or not, or None if censored. A second result of the same seed is ignored.

        Results of seeds that were never handed out (found in the records of an interrupted sweep) count as well.
        A censored trial has consumed its seed.

        Raises:
            ValueError: the seed is below `first_seed`.
        """
        index = self._index(seed)
        if index not in self._cells[cell].resolved:
            self._cells[cell].resolve(index, outcome, device_seconds)
            self._ranks[cell] = self._rank(self._cells[cell])

    def requeue(self, cell: int, seed: int) -> None:
        """Hand the seed of a pending trial that was lost (its machine, not its training, failed) out again."""
        self._cells[cell].pending.discard(self._index(seed))
        self._ranks[cell] = self._rank(self._cells[cell])

    def counts(self, cell: int) -> tuple[int, int]:
        """(unstable, finished) over the seeds up to the first without a result: what an interval may be put around."""
        return self._cells[cell].prefix_unstable, self._cells[cell].prefix_finished

    def censored(self, cell: int) -> int:
        """Censored trials of a cell."""
        return len(self._cells[cell].resolved) - self._cells[cell].finished

    def pending(self, cell: int) -> list[int]:
        """Seeds handed out and without a result."""
        return sorted(self.first_seed + index for index in self._cells[cell].pending)

    def reached(self, cell: int) -> bool:
        """Is the certainty goal reached on `counts`?"""
        return self.certainty.reached(*self.counts(cell))

    @property
    def trials(self) -> int:
        """Trials resolved or pending."""
        return sum(cell.issued for cell in self._cells)

    @property
    def device_hours(self) -> float:
        """Device-hours of all resolved trials."""
        return sum(cell.seconds for cell in self._cells) / 3600

    def _index(self, seed: int) -> int:
        if seed < self.first_seed:
            raise ValueError(f"seed {seed} must be at least the sweep's first seed {self.first_seed}")
        return seed - self.first_seed

    def _gave_up(self, cell: CellState) -> bool:
        return cell.censored_streak >= self.certainty.goal.give_up

    def _rank(self, cell: CellState) -> _Rank | None:
        """The smallest rank goes first; None: no seed is needed now."""
        if self._gave_up(cell):
            return None
        if cell.has_hole():
            return 0, 0.0, cell.issued
        if cell.issued < self.certainty.goal.min_seeds:
            return 1, cell.issued, 0
        counts = cell.completed()
        if self.certainty.reached(*counts):
            return None
        return 2, -self.certainty.priority(*counts), cell.issued

    def _within_budget(self) -> bool:
        goal = self.certainty.goal
        if goal.max_trials is not None and self.trials >= goal.max_trials:
            return False
        if goal.max_device_hours is None:
            return True
        resolved = sum(len(cell.resolved) for cell in self._cells)
        spent = sum(cell.seconds for cell in self._cells)
        mean = spent / resolved if resolved else 0.0
        committed = spent + sum(cell.expected_pending_seconds(mean) for cell in self._cells)
        return committed < goal.max_device_hours * 3600
