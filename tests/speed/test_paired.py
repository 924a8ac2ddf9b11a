"""The interval of a paired difference, compared with simulation, and McNemar's test with its definition."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from jobs.speed.paired import PairedCounts


@pytest.mark.parametrize("cells", [(0.3, 0.1, 0.1, 0.5), (0.05, 0.15, 0.05, 0.75)])
@pytest.mark.slow
def test_interval_covers_as_often_as_it_says(cells: tuple[float, float, float, float]) -> None:
    truth = cells[2] - cells[1]
    drawn = np.random.default_rng(0).multinomial(40, cells, size=2000)
    hits = sum(low <= truth <= high for low, high in (PairedCounts(*map(int, row)).interval() for row in drawn))
    assert 0.93 < hits / len(drawn) < 0.995


def test_interval_turns_with_its_sides() -> None:
    low, high = PairedCounts(12, 5, 2, 21).interval()
    assert (-high, -low) == pytest.approx(PairedCounts(12, 2, 5, 21).interval())
    assert PairedCounts(12, 5, 2, 21).difference == pytest.approx(-3 / 40)
    assert low < -3 / 40 < high


def test_no_disagreement_is_not_certainty() -> None:
    low, high = PairedCounts(10, 0, 0, 30).interval()
    assert low == pytest.approx(-high)
    assert 0.005 < high < 0.1


def test_p_value_is_the_signs() -> None:
    tail = sum(comb(9, k) for k in (0, 1)) / 2**9
    assert PairedCounts(3, 8, 1, 3).p_value() == pytest.approx(2 * tail)
    assert PairedCounts(3, 0, 0, 3).p_value() == 1
