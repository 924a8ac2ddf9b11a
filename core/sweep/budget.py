"""The ceiling of the device-hours of a sweep with a fixed number of seeds."""

from __future__ import annotations

from core.sweep.halt import Halt, Stop
from core.sweep.live_state import LiveState


class Budget:
    """Ends the sweep when its trials have used their device-hours. Running trials go on in a later run.

    Args:
        live: the state of the trials, with the work of earlier drivers and of lost attempts.
        device_hours: the ceiling; None: no limit.
        halt: ends the sweep.
    """

    def __init__(self, live: LiveState, device_hours: float | None, halt: Halt) -> None:
        self.live, self.device_hours, self.halt = live, device_hours, halt

    def look(self) -> None:
        """End the sweep if the budget is used up."""
        spent = self.live.device_seconds / 3600
        if self.device_hours is None or self.halt.stop or spent < self.device_hours:
            return
        price = self.live.price
        used = f"{spent:.3g} of {self.device_hours:.3g} device-hours"
        money = "" if price is None else f", which cost {spent * price:.2f} of {self.device_hours * price:.2f}"
        self.halt.stop = Stop(
            "budget",
            f"The sweep has stopped because its budget is used up: {used}{money} (--max-device-hours, --max-cost). "
            "Running trials keep their checkpoints.",
        )
