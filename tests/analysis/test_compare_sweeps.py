"""Two sweeps side by side: which cells match, and what their difference says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from analysis.questions.compare_sweeps import SweepComparison, compare_sweeps
from analysis.questions.rates import cell_rates
from core.records import TrialRecord


@pytest.fixture
def trials(record: Callable[..., TrialRecord]) -> Callable[..., list[TrialRecord]]:
    def make(unstable: int, n: int, **cell: Any) -> list[TrialRecord]:
        return [record(seed, "unstable" if seed < unstable else "stable", cell=cell) for seed in range(n)]

    return make


def compared(here: Sequence[TrialRecord], there: Sequence[TrialRecord]) -> SweepComparison:
    sides = [(cell_rates(side, "ever"), {record.cell_id: record.cell for record in side}) for side in (here, there)]
    return compare_sweeps(sides[0][0], sides[1][0], sides[0][1], sides[1][1])


def test_cells_match_by_what_varies_and_the_rest_is_what_is_compared(trials: Callable) -> None:
    here = trials(9, 10, beta=1.0) + trials(1, 10, beta=6.0) + trials(5, 10, beta=3.0)
    there = trials(0, 10, beta=1.0, method="mart") + trials(1, 10, beta=6, method="mart")
    found = compared(here, there)
    assert found.matched_by == ["beta"]
    assert [(pair.factors, pair.changed) for pair in found.pairs] == [
        ({"beta": 1.0}, {"method": ("trades", "mart")}),
        ({"beta": 6.0}, {"method": ("trades", "mart")}),
    ]
    assert ([rate.unstable for rate in found.only_here], found.only_there) == ([5], [])


def test_an_option_that_varies_in_one_sweep_picks_its_cell_in_the_other(trials: Callable) -> None:
    found = compared(trials(1, 5, lr=0.1), trials(2, 5, lr=0.05) + trials(3, 5, lr=0.1))
    (pair,) = found.pairs
    assert (pair.there.unstable, pair.changed) == (3, {})
    assert [rate.unstable for rate in found.only_there] == [2]


@pytest.mark.parametrize(
    ("here", "there", "conclusion"),
    [
        ((10, 10), (0, 10), "different"),
        ((40, 80), (41, 80), "equivalent"),
        ((5, 10), (6, 10), "undecided"),
        ((1, 2), (1, 2), "too few seeds"),
        ((0, 0), (1, 2), "not comparable"),
    ],
)
def test_the_conclusion_says_what_the_counts_can(
    trials: Callable, record: Callable, here: tuple[int, int], there: tuple[int, int], conclusion: str
) -> None:
    records = trials(*here) or [record(0, "censored", onset=False)]
    (pair,) = compared(records, trials(*there, epochs=20)).pairs
    assert pair.conclusion == conclusion
    if conclusion == "not comparable":
        assert pair.difference is None
    else:
        low, high = pair.difference
        assert low < here[0] / here[1] - there[0] / there[1] <= high
        assert (low > 0) == (conclusion == "different")


def test_p_values_are_corrected_over_the_pairs_that_are_tested(trials: Callable) -> None:
    alone = compared(trials(5, 6, beta=1.0), trials(0, 6, beta=1.0)).pairs[0].p_value
    two = compared(
        trials(5, 6, beta=1.0) + trials(3, 6, beta=6.0), trials(0, 6, beta=1.0) + trials(3, 6, beta=6.0)
    ).pairs[0]
    assert two.p_value == pytest.approx(2 * alone)
