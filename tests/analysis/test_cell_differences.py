"""Differences between cells: pairs of seeds, groups of pinned seeds, and numbers of trials that depended on results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analysis.questions.cell_differences import cell_differences, seed_correlation
from analysis.questions.rates import cell_rates
from analysis.statistics.paired_counts import paired_share_ends
from core.records import TrialRecord

BETAS = (1.0, 6.0, 9.0)


def trials(record: Callable, outcomes: dict[float, str], first: int = 0, **fields: Any) -> list[TrialRecord]:
    """Trials by beta; ``u`` is an unstable one."""
    return [
        record(first + seed, "unstable" if mark == "u" else "stable", cell={"beta": beta}, **fields)
        for beta, marks in outcomes.items()
        for seed, mark in enumerate(marks)
    ]


def test_cells_with_the_same_seeds_are_compared_in_pairs(record: Callable) -> None:
    records = trials(record, {1.0: "uuuuuuuu..", 6.0: "uuuu......", 9.0: ".........."})
    records.append(record(0, None, cell={"beta": 12.0}))
    first, *others = cell_differences(records)
    assert len(others) == 2
    assert (first.counts, first.basis) == (((8, 10), (4, 10)), "paired")
    assert first.ends == paired_share_ends(4, 0, 10)
    assert first.together[0] < first.ends[0] < 0.4 < first.ends[1] < first.together[1]
    assert first.correlation == pytest.approx(np.corrcoef([1] * 8 + [0] * 2, [1] * 4 + [0] * 6)[0, 1])
    assert others[0].correlation is None
    assert others[0].adjusted == pytest.approx(3 * others[0].p_value)
    assert (first.differ, others[0].differ) == (False, True)


def test_other_seeds_are_no_pairs(record: Callable) -> None:
    records = [*trials(record, {1.0: "uuuuu"}), *trials(record, {6.0: "....."}, first=50)]
    (found,) = cell_differences(records)
    assert (found.basis, found.correlation) == ("melded", None)
    assert found.ends[0] > 0


def test_adaptive_cells_have_the_corners_of_their_intervals(record: Callable) -> None:
    records = trials(record, {1.0: "u" * 12, 6.0: "." * 20})
    (found,) = cell_differences(records, kind="anytime")
    one, other = (cell.interval for cell in cell_rates(records, level=0.975, interval="anytime"))
    assert (found.basis, found.p_value, found.differ) == ("corners", None, True)
    assert found.ends == (one.low - other.high, one.high - other.low) == found.together


def test_groups_of_pinned_seeds_are_the_unit(record: Callable) -> None:
    records = [
        trial
        for group, marks in enumerate(("uuuuuuuu", "........", "uuuuuuuu"))
        for trial in trials(record, {1.0: marks, 6.0: "." * 8}, first=100 * group, fields={"pins": {"init": group}})
    ]
    (found,) = cell_differences(records, kind="clustered")
    assert (found.basis, found.p_value) == ("groups", 0.5)
    assert found.ends[0] < 0


@pytest.mark.slow
def test_equal_cells_of_a_pinned_sweep_are_rarely_said_to_differ(record: Callable) -> None:
    rng, rejected = np.random.default_rng(0), 0
    for _ in range(100):
        luck = rng.beta(0.7, 0.7, (2, 8))
        records = [
            trial
            for group in range(8)
            for cell, beta in enumerate(BETAS[:2])
            for trial in trials(
                record,
                {beta: "".join("u" if rng.random() < luck[cell, group] else "." for _ in range(3))},
                first=100 * group,
                fields={"pins": {"init": group}},
            )
        ]
        rejected += cell_differences(records, kind="clustered")[0].differ
    assert rejected <= 10


def test_the_correlation_of_seeds_does_not_count_differences_between_cells(record: Callable) -> None:
    alike = trials(record, {1.0: "uu..", 6.0: "uu..", 9.0: "uuuu"})
    assert seed_correlation(alike, "any") == pytest.approx((2 / 4, 12))
    opposite = trials(record, {1.0: "uu..", 6.0: "..uu"})
    assert seed_correlation(opposite, "any") == pytest.approx((-1, 4))
    assert seed_correlation(trials(record, {1.0: "uuuu"}), "any") is None
