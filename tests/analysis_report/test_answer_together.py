"""The first sentence names the extreme cells, which are chosen by their results."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from analysis.report.answer_sentence import answer_sentence
from analysis.report.context import report_context
from analysis.report.formatting import format_ends
from analysis.statistics.intervals import interval


def test_its_intervals_allow_for_the_number_of_cells(make_sweep):
    context = report_context("s", make_sweep(betas=(1, 3, 6), batch_sizes=(64,), seeds=4))
    said = answer_sentence(context.cells, "", context.together)
    highest = max(context.cells, key=lambda cell: cell.rate)
    corrected = interval("blaker", highest.unstable, highest.trials, 1 - 0.05 / 3)
    assert f"({highest.unstable} of 4; {format_ends(corrected)} %)" in said
    assert "together" in said


def test_the_interval_of_the_highest_of_nine_equal_cells_covers():
    """The highest of nine cells of rate 0.2 and 5 seeds: per-cell intervals miss far more often."""
    counts = np.arange(6)
    below = binom.cdf(counts, 5, 0.2)
    highest = below**9 - np.concatenate([[0], below[:-1]]) ** 9

    def covered(level: float) -> float:
        return sum(p for k, p in zip(counts, highest, strict=True) if 0.2 in interval("blaker", int(k), 5, level))

    assert covered(1 - 0.05 / 9) >= 0.95 > covered(0.95)
