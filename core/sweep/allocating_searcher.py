"""The allocator as a search algorithm of Ray Tune."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from core.allocation.allocator import FINISHED, SeedAllocator, Signal

ConfigOf = Callable[[int, int], dict[str, Any]]
"""(cell index, seed) -> config of the Tune trial."""
ResultOf = Callable[[int, int], tuple[bool | None, float] | None]
"""(cell index, seed) -> (ever unstable, or None if censored; device-seconds), or None if the trial has no record."""


class AllocatingSearcher(Searcher):
    """A searcher that suggests the trials of a `SeedAllocator`.

    Tune must be configured with ``num_samples=-1``, and with a limit of trials at once.

    Results are read from the trials' records and not from Tune's metrics, because a trial that was stopped, was
    restored or had already finished does not always report metrics. A trial that ended without a record is suggested
    again. Both callables must be picklable, because Tune pickles its searcher at the start.

    Args:
        allocator: knows the trials that earlier drivers finished (`core.allocation.replay`).
        config_of: returns the Tune config of a trial.
        result_of: returns the result of a trial that has ended.
        max_losses: number of ends without a record after which a trial is censored.
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
        """The config of the next trial; None while results of pending trials are awaited; ``FINISHED`` at the end."""
        trial = self.allocator.next_trial()
        if isinstance(trial, Signal):
            return Searcher.FINISHED if trial is FINISHED else None
        self._live[trial_id] = trial
        return self._config_of(*trial)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Pass a trial's result to the allocator. Tune calls this for finished, stopped and failed trials."""
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
        """Do nothing: a sweep is continued from its ledger and never by a restore of Tune."""
