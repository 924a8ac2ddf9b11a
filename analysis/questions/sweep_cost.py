"""The cost of a sweep, and the cost that early stopping saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.questions.rates import device_seconds_saved, epochs_saved
from core.records import TrialRecord


@dataclass(frozen=True)
class SweepCost:
    """Totals over all trials, running and censored ones included. Money is in the currency of the price."""

    trials: int
    epochs_run: int
    epochs_saved: int
    """Planned epochs that stopped trials did not run."""
    device_seconds: float
    device_seconds_saved: float
    """Device-seconds that these epochs would have cost at the mean pace of each trial's own epochs."""
    restarts: int
    """How often trials were started again."""
    device_seconds_lost: float
    """Device-seconds whose work was lost when attempts ended."""
    money: float | None
    money_saved: float | None

    @property
    def saved_share(self) -> float:
        """Saved device-seconds over the device-seconds of the same trials without stopping; 0 if no trial has run."""
        whole = self.device_seconds + self.device_seconds_saved
        return self.device_seconds_saved / whole if whole else 0.0


def sweep_cost(records: Sequence[TrialRecord], price_per_device_hour: float | None = None) -> SweepCost:
    """The cost of all trials; in money only with a price.

    Raises:
        ValueError: the price is negative.
    """
    if price_per_device_hour is not None and price_per_device_hour < 0:
        raise ValueError(f"price_per_device_hour {price_per_device_hour} must be at least 0")
    used = sum(record.device_seconds for record in records)
    saved = sum(device_seconds_saved(record) for record in records)
    price = None if price_per_device_hour is None else price_per_device_hour / 3600
    return SweepCost(
        trials=len(records),
        epochs_run=sum(record.epochs_run for record in records),
        epochs_saved=sum(epochs_saved(record) for record in records),
        device_seconds=used,
        device_seconds_saved=saved,
        restarts=sum(max(record.attempts - 1, 0) for record in records),
        device_seconds_lost=sum(record.lost_device_seconds for record in records),
        money=None if price is None else price * used,
        money_saved=None if price is None else price * saved,
    )
