from __future__ import annotations

from collections.abc import Callable

import pytest

from analysis.statistics.intervals import confidence_sequence
from core.allocation import CellTruth

TABLE_2 = (1, 1, 1, 1, 0.7, 0, 0.1, 0, 0, 1, 1, 0, 1, 0, 0.1)
"""Rates of the paper's Table 2, without the column that occurs in both of its halves."""


@pytest.fixture(scope="session")
def anytime() -> Callable[[int, int], tuple[float, float]]:
    def bounds(unstable: int, finished: int) -> tuple[float, float]:
        interval = confidence_sequence(unstable, finished)
        return interval.low, interval.high

    return bounds


@pytest.fixture(scope="session")
def table_2() -> tuple[CellTruth, ...]:
    """A truth with the rates of Table 2, 200 epochs (Appendix B), and onsets around epoch 102, as in the paper."""
    return tuple(CellTruth(rate=rate, epochs=200, onset_epochs=tuple(range(50, 151))) for rate in TABLE_2)
