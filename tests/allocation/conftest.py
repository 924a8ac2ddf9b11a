from __future__ import annotations

from collections.abc import Callable

import pytest

from analysis.statistics.intervals import confidence_sequence
from core.allocation import CellTruth

TABLE_2 = (1, 1, 1, 1, 0.7, 0, 0.1, 0, 0, 1, 1, 0, 1, 0, 0.1)
"""Rates of the paper's Table 2 without the column that its two halves share."""


@pytest.fixture(scope="session")
def anytime() -> Callable[[int, int], tuple[float, float]]:
    def bounds(unstable: int, finished: int) -> tuple[float, float]:
        interval = confidence_sequence(unstable, finished)
        return interval.low, interval.high

    return bounds


@pytest.fixture(scope="session")
def table_2() -> tuple[CellTruth, ...]:
    """200 epochs as in the paper's Appendix B; onsets around epoch 102, the one that it prints."""
    return tuple(CellTruth(rate=rate, epochs=200, onset_epochs=tuple(range(50, 151))) for rate in TABLE_2)
