"""The allocator as a search algorithm of Ray Tune."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from core.allocation.allocator import FINISHED, SeedAllocator, Signal

ConfigOf = Callable[[int, int], dict[str, Any]]
"""(cell index, seed) -> the Tune trial's config."""
ResultOf = Callable[[int, int], tuple[bool | None, float] | None]
"""(cell index, seed) -> (ever unstable, or None if censored; device-seconds), or None if it left no record."""


class AllocatingSearcher(Searcher):
    """Asks a `SeedAllocator` which trial comes next. Use with ``num_samples=-1`` and ``max_concurrent_trials``.

    Results are read from where trials leave their records, not from Tune's metrics, which a trial that was stopped,
    restored or had already finished doesn't always report. A trial that ended without a record is handed out again.
    Tune pickles its searcher when it starts, so both callables must bear that.

    Args:
        allocator: already told of the trials that an earlier driver finished (`core.allocation.replay`).
        config_of: makes a Tune config.
        result_of: finds the result of a trial that has ended.
        max_losses: a trial that ended without a record this often is censored.
    """

    def __init__(
        self, allocator: SeedAllocator, config_of: ConfigOf, result_of: ResultOf, *, max_losses: int = 3
    ) -> None:
        super().__init__()
        self.allocator = allocator
        self._config_of = config_of
        self._result_of = result_of
        self._max_losses = max_losses
        self._live: dict[str, tuple[int, int]] = {}
        self._losses: Counter[tuple[int, int]] = Counter()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """A config, None to wait for pending trials, or ``FINISHED`` once nothing is pending (Tune asks no more)."""
        trial = self.allocator.next_trial()
        if isinstance(trial, Signal):
            return Searcher.FINISHED if trial is FINISHED else None
        self._live[trial_id] = trial
        return self._config_of(*trial)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take in how a trial ended; Tune calls this for finished, stopped and failed ones."""
        trial = self._live.pop(trial_id)
        found = self._result_of(*trial)
        if found is not None:
            self.allocator.observe(*trial, *found)
            return
        self._losses[trial] += 1
        if self._losses[trial] < self._max_losses:
            self.allocator.requeue(*trial)
        else:
            self.allocator.observe(*trial, None, 0.0)

    def save(self, checkpoint_path: str) -> None:
        """Nothing is kept: a sweep is continued from its ledger, never by a restore of Tune."""
