"""Intervals for rates that fall along a sequence of cells."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from analysis.report.context import report_context
from analysis.report.options import ReportOptions
from analysis.report.sections.monotone import monotone_sections
from analysis.statistics.intervals import clopper_pearson
from analysis.statistics.monotone import falling_ends


@cache
def ends_of(hits: tuple[int, ...], trials: int) -> list[tuple[float, float]]:
    """`falling_ends` of cells with ``trials`` trials each; every case below has the same counts."""
    return falling_ends([(k, trials) for k in hits])


@pytest.mark.parametrize("rates", [(0.9, 0.5, 0.1), (0.4, 0.4, 0.4), (1.0, 0.2, 0.2), (0.15, 0.1, 0.0)])
@pytest.mark.slow
def test_every_interval_covers_where_the_order_holds(rates: tuple[float, ...]) -> None:
    trials, held = 6, np.zeros(3)
    for hits in product(range(trials + 1), repeat=3):
        chance = np.prod([binom.pmf(k, trials, rate) for k, rate in zip(hits, rates, strict=True)])
        ends = ends_of(hits, trials)
        held += [chance * (low <= rate <= high) for rate, (low, high) in zip(rates, ends, strict=True)]
    assert (held >= 0.95 - 1e-9).all()


def test_neighbours_make_intervals_narrower_and_one_cell_is_alone() -> None:
    exact = clopper_pearson(0, 10)
    assert falling_ends([(0, 10)])[0] == pytest.approx((exact.low, exact.high))
    ends = falling_ends([(0, 10)] * 4)
    assert ends[3][1] < 0.2 < exact.high
    assert ends[0][1] == pytest.approx(exact.high)


def test_the_section_is_shown_when_the_order_is_assumed(record: Callable) -> None:
    records = [
        record(seed, "unstable" if seed < hits else "stable", cell={"beta": beta}, protocol={"stop": False})
        for beta, hits in ((1.0, 8), (3.0, 2), (6.0, 0))
        for seed in range(10)
    ]
    (section,) = monotone_sections(report_context("s", records, ReportOptions(falls_with="beta")))
    assert [row[:2] for row in section.tables[0].rows] == [["1", "8/10"], ["3", "2/10"], ["6", "0/10"]]
    assert monotone_sections(report_context("s", records)) == []
    with pytest.raises(ValueError, match="--falls-with lr: must be a number that varies in this sweep: beta"):
        report_context("s", records, ReportOptions(falls_with="lr"))
