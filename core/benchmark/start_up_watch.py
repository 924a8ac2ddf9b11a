"""Notes when the start-up row's trials start, and when their loops do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from core.benchmark.cpu_meter import CpuMeter


class Watch(Callback):
    """Tune callback of `core.benchmark.start_up`.

    Attributes:
        starts: id, time and CPU-seconds so far (None without a meter) at each trial's start, in order.
        first_lines: time of each loop's first line, by trial id.
    """

    def __init__(self, say: Callable[[str], None], meter: CpuMeter | None) -> None:
        self.say, self.meter = say, meter
        self.starts: list[tuple[str, float, float | None]] = []
        self.first_lines: dict[str, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks to restore an experiment; this one is never restored
        return {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.say(f"start-up: trial {len(self.starts) + 1}, {trial.config['run']['trainer']}")
        cpu = self.meter.seconds() if self.meter else None
        self.starts.append((trial.trial_id, time.time(), cpu))

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        if "first_line" in result:
            self.first_lines[trial.trial_id] = result["first_line"]
