"""The state of one cell's seeds in the allocator. The k-th seed of a cell has index k, counted from 0."""

from __future__ import annotations

from collections.abc import Callable

from core.allocation.certainty import plausible_rate

Reached = Callable[[int, int], bool]
"""(unstable, finished) -> whether a cell with these counts ends."""


class CellState:
    """Resolved and pending seeds of one cell, and counts over them.

    Attributes:
        resolved: index -> (unstable, or None if censored; device-seconds).
        pending: indices of seeds that are being trained and have no result.
        unstable, finished: counts over all resolved seeds except censored ones.
        prefix: the first index that is not resolved.
        prefix_unstable, prefix_finished: counts over the seeds before `prefix`, except censored ones.
        censored_streak: number of censored seeds directly before `prefix`.
        first_reached: the first counts of the prefix at which the cell ends; None before.
        seconds: device-seconds of all resolved seeds.
    """

    def __init__(self) -> None:
        self.resolved: dict[int, tuple[bool | None, float]] = {}
        self.pending: set[int] = set()
        self.unstable = 0
        self.finished = 0
        self.prefix = 0
        self.prefix_unstable = 0
        self.prefix_finished = 0
        self.censored_streak = 0
        self.first_reached: tuple[int, int] | None = None
        self.seconds = 0.0

    @property
    def issued(self) -> int:
        """Number of seeds that are resolved or pending."""
        return len(self.resolved) + len(self.pending)

    def next_index(self) -> int:
        """The first index that is neither resolved nor pending."""
        index = self.prefix
        while index in self.resolved or index in self.pending:
            index += 1
        return index

    def has_hole(self) -> bool:
        """True if a seed that is neither resolved nor pending precedes a seed that is."""
        return self.next_index() < self.issued

    def resolve(self, index: int, outcome: bool | None, seconds: float, reached: Reached) -> None:
        """Note the result of a seed that has none yet."""
        self.pending.discard(index)
        self.resolved[index] = (outcome, seconds)
        self.seconds += seconds
        if outcome is not None:
            self.finished += 1
            self.unstable += outcome
        while self.prefix in self.resolved:
            first = self.resolved[self.prefix][0]
            self.prefix += 1
            self.censored_streak = self.censored_streak + 1 if first is None else 0
            if first is not None:
                self.prefix_finished += 1
                self.prefix_unstable += first
                counts = self.prefix_unstable, self.prefix_finished
                if self.first_reached is None and reached(*counts):
                    self.first_reached = counts

    def completed(self) -> tuple[int, int]:
        """(unstable, finished) as if all pending trials had finished, unstable at the rate so far (rounded)."""
        pending = len(self.pending)
        guess = round(pending * plausible_rate(self.unstable, self.finished))
        return self.unstable + guess, self.finished + pending

    def chance_needed(self, reached: Reached) -> float:
        """Probability, over the results of pending trials, that the cell does not end before its next seed.

        A pending trial is unstable with the posterior mean under Jeffreys' prior, given the trials with smaller seeds.
        """
        start = self.prefix_unstable, self.prefix_finished
        paths = {} if reached(*start) else {start: 1.0}
        for index in range(self.prefix, self.next_index()):
            outcome = self.resolved[index][0] if index in self.resolved else "pending"
            if outcome is None:
                continue
            further: dict[tuple[int, int], float] = {}
            for (unstable, finished), chance in paths.items():
                rate = plausible_rate(unstable, finished) if outcome == "pending" else float(outcome)
                for more, share in ((0, 1 - rate), (1, rate)):
                    counts = unstable + more, finished + 1
                    if share and not reached(*counts):
                        further[counts] = further.get(counts, 0.0) + chance * share
            paths = further
        return sum(paths.values())

    def expected_pending_seconds(self, seconds_elsewhere: float) -> float:
        """Expected device-seconds of the pending trials.

        Each trial is expected to cost this cell's mean, or `seconds_elsewhere` if the cell has no results.
        """
        mean = self.seconds / len(self.resolved) if self.resolved else seconds_elsewhere
        return len(self.pending) * mean
