"""Notes how long the start-up row's trials take to their first line."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial


class Watch(Callback):
    """Tune callback of `jobs.speed.start_up`.

    Attributes:
        waited: seconds from each trial's start to its loop's first line, in order.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.waited: list[float] = []
        self._started: dict[str, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks to restore an experiment; this one is never restored
        return {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.say(f"trial {len(self._started) + 1}, {trial.config['run']['trainer']}")
        self._started[trial.trial_id] = time.time()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        if "first_line" in result:
            self.waited.append(result["first_line"] - self._started[trial.trial_id])
