"""The early end of a sweep by its driver."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ray.tune import Stopper


class Stop(NamedTuple):
    """Why a driver ended its sweep early, and a sentence about it."""

    cause: Literal["crashes", "budget"]
    sentence: str


class Halt(Stopper):
    """Ends the whole sweep for Tune as soon as `stop` is set. Running trials keep their last checkpoints."""

    def __init__(self) -> None:
        self.stop: Stop | None = None

    def __call__(self, trial_id: str, result: dict[str, object]) -> bool:
        """No single trial is ended."""
        return False

    def stop_all(self) -> bool:
        """True if the sweep is to end."""
        return self.stop is not None
