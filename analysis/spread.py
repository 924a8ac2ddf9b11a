"""Mean and standard deviation over trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over trials; no deviation with one trial."""

    mean: float
    deviation: float | None
    trials: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of one or more values."""
        return cls(fmean(values), stdev(values) if len(values) > 1 else None, len(values))

    def __str__(self) -> str:
        deviation = "" if self.deviation is None else f" ± {self.deviation:.4f}"
        return f"{self.mean:.4f}{deviation}"
