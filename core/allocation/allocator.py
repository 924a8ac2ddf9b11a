"""Adaptive allocation of seeds to cells."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from core.allocation.cell_state import CellState
from core.allocation.certainty import Certainty


class Signal(Enum):
    """The reason why there is no next trial."""

    WAIT = "wait"
    """The results of pending trials decide whether more trials are needed."""
    FINISHED = "finished"
    """The goal is reached or the budget is spent, and no trial is pending."""


WAIT: Literal[Signal.WAIT] = Signal.WAIT
FINISHED: Literal[Signal.FINISHED] = Signal.FINISHED

_Rank = tuple[int, float, int]


MIN_CHANCE_NEEDED = 0.7
"""Least chance that a cell needs a seed, given its pending trials, at which the seed is started.

With eight trials at a time on the grid of Table 2, no trial is lost at 0.7, and the sweep takes 2 % longer than with
cells that never wait. Sweeps of few cells lose more trials or take longer (`tests/allocation/test_savings.py`)."""


class SeedAllocator:
    """Chooses the next (cell, seed) to train, with the aim to reach the sweep's goal with few trials. Deterministic.

    Seeds that were requeued or lost come first. Then every cell gets `min_seeds` seeds. Then the next seed goes to the
    cell with the highest `Certainty.priority`, in which pending trials count as if they had finished at their cell's
    rate so far. A cell that pending trials are likely to end waits for them (`MIN_CHANCE_NEEDED`).

    **Why the intervals are valid.** A stopped unstable trial ends before a stable one that started at the same time.
    The results that are known at some moment therefore contain too many unstable trials, and an interval for k/n on
    them does not have its nominal coverage. A cell's results *in the order of its seeds* are independent draws for
    any allocation, and an anytime interval covers all their prefixes simultaneously, including a prefix that was
    chosen after looking at the results. For this reason `counts` are those of the longest prefix of seeds that all
    have a result. A sequential design ends at the first count of this prefix that is in its set; results behind it are
    left out, and its error probabilities are exact. Without a design, a goal counts as reached only if no trial is
    pending and the prefix contains all results. Both arguments require that censoring does not depend on the outcome; a
    crash rate *per epoch* violates this, because a trial that stops early is less likely to crash.

    Args:
        cells: number of cells.
        certainty: the goal and its interval.
        first_seed: the k-th seed of every cell is `first_seed + k`, which pairs the trials of two cells by seed.
    """

    def __init__(self, cells: int, certainty: Certainty, first_seed: int = 0) -> None:
        self.certainty = certainty
        self.first_seed = first_seed
        self._cells = [CellState() for _ in range(cells)]
        self._ranks = [self._rank(cell) for cell in self._cells]

    def next_trial(self) -> tuple[int, int] | Signal:
        """The (cell index, seed) to start now, which is pending from now on, or the reason why there is none."""
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
        """Note the result of a trial. A second result of the same seed is ignored.

        Results of seeds that this allocator did not choose (from the records of an interrupted sweep) count as well.
        The seed of a censored trial is not trained again.

        Args:
            cell: index of the cell.
            seed: the trial's seed.
            outcome: True if the trial was ever unstable; None if it was censored.
            device_seconds: cost of the trial.

        Raises:
            ValueError: the seed is below `first_seed`.
        """
        index = self._index(seed)
        if index not in self._cells[cell].resolved:
            self._cells[cell].resolve(index, outcome, device_seconds, self.certainty.reached)
            self._ranks[cell] = self._rank(self._cells[cell])

    def requeue(self, cell: int, seed: int) -> None:
        """Choose the seed of a pending trial again, because its machine (and not its training) failed."""
        self._cells[cell].pending.discard(self._index(seed))
        self._ranks[cell] = self._rank(self._cells[cell])

    def counts(self, cell: int) -> tuple[int, int]:
        """(unstable, finished) for which intervals are valid.

        They are taken at the end of the cell's sequential design, and otherwise over the seeds before the first one
        without a result.
        """
        state = self._cells[cell]
        if self.certainty.design is not None and state.first_reached is not None:
            return state.first_reached
        return state.prefix_unstable, state.prefix_finished

    def censored(self, cell: int) -> int:
        """Number of censored trials of a cell."""
        return len(self._cells[cell].resolved) - self._cells[cell].finished

    def pending(self, cell: int) -> list[int]:
        """Sorted seeds of the cell's pending trials."""
        return sorted(self.first_seed + index for index in self._cells[cell].pending)

    def reached(self, cell: int) -> bool:
        """True if the cell has ended by its sequential design, or `counts` of the cell reach the certainty goal."""
        return self.certainty.reached(*self.counts(cell))

    @property
    def trials(self) -> int:
        """Number of trials that are resolved or pending."""
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
        """The cell's rank, of which the smallest is served first; None if the cell needs no seed now."""
        if self._gave_up(cell) or (self.certainty.design is not None and cell.first_reached is not None):
            return None
        if cell.has_hole():
            return 0, 0.0, cell.issued
        if cell.issued < self.certainty.goal.min_seeds:
            return 1, cell.issued, 0
        if cell.chance_needed(self.certainty.reached) < MIN_CHANCE_NEEDED:
            return None
        return 2, -self.certainty.priority(*cell.completed()), cell.issued

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
