"""Tables of how often intervals contain the truth, and of the trials that sequential designs take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from analysis.questions.interval_coverage import fixed_coverage, sequential_coverage
from analysis.questions.simulated_coverage import LEVEL, Found, coverage_of, scenarios
from analysis.report.formatting import NOTHING
from analysis.report.tables.text_table import TextTable
from analysis.statistics.intervals import IntervalKind
from core.allocation import AllocationGoal, SequentialDesign, sequential_design
from core.allocation.certainty import IntervalOf

FIXED: tuple[IntervalKind, ...] = ("blaker", "clopper-pearson", "wilson")
TRIALS = (3, 4, 5, 10, 20, 50)
GOALS = (
    *(AllocationGoal(until_width=width) for width in (0.7, 0.6, 0.5, 0.4, 0.3, 0.2)),
    *(AllocationGoal(until_decided=rate, max_trials=1) for rate in (0.5, 0.3, 0.1)),
)
STANDARD_ERRORS = 2.0
"""Number of standard errors of the simulation by which a coverage may fall below its level."""
RATES = (0.0, 0.1, 0.3, 0.5)


def fixed_table() -> TextTable:
    """Coverage and width of the intervals for a fixed number of trials."""
    rows = [[str(n), *(text for kind in FIXED for text in _fixed(kind, n))] for n in TRIALS]
    header = ["trials", *(f"{kind}: {part}" for kind in FIXED for part in ("lowest", "mean", "width"))]
    return TextTable(header, rows, 1, "Nominal 0.95. Lowest: at the worst rate. Mean and mean width: over all rates.")


def _fixed(kind: IntervalKind, n: int) -> Iterator[str]:
    found = fixed_coverage(kind, n)
    yield from (f"{found.lowest:.3f}", f"{found.mean:.3f}", f"{found.width:.2f}")


def sequential_table() -> TextTable:
    """Coverage of the sequential designs' intervals, and the number of trials that they take."""
    header = ["goal", "lowest coverage", "mean", "largest n", *(f"trials at rate {rate:g}" for rate in RATES)]
    rows = []
    for goal in GOALS:
        design = sequential_design(goal)
        assert design is not None
        rows.append([_goal(goal), *_sequential(design)])
    return TextTable(header, rows, 1, "Nominal 0.95. Trials: expected number.")


def _sequential(design: SequentialDesign) -> Sequence[str]:
    found, ends = sequential_coverage(design.ends), design.ends
    trials = ends.expected_trials(np.clip(RATES, 1e-12, 1))
    return [f"{found.lowest:.3f}", f"{found.mean:.3f}", str(ends.n.max()), *(f"{number:.1f}" for number in trials)]


def simulated_table(sweeps: int, interval: IntervalOf) -> TextTable:
    """Coverage and bias of what a report prints, over simulated sweeps of many designs.

    Args:
        sweeps: number of simulated sweeps of each design.
        interval: the interval by which adaptive sweeps decide.
    """
    header = ["design", "statement", "checks", "coverage", "bias", "width", "below its level"]
    rows = [
        [found.design, found.statement, *_simulated(found, scenario.exception)]
        for scenario in scenarios(interval)
        for found in coverage_of(scenario, sweeps)
    ]
    return TextTable(header, rows, 2, "Nominal 0.95. Bias: mean of the estimate minus the truth, where it is known.")


def _simulated(found: Found, exception: str) -> Sequence[str]:
    checks, coverage = len(found.covered), found.coverage
    error = STANDARD_ERRORS * (LEVEL * (1 - LEVEL) / checks) ** 0.5
    return [
        str(checks),
        f"{coverage:.3f}",
        f"{np.mean(found.errors):+.3f}" if found.errors else NOTHING,
        f"{np.mean(found.widths):.2f}" if found.widths else NOTHING,
        (exception or "yes") if coverage < LEVEL - error else NOTHING,
    ]


def _goal(goal: AllocationGoal) -> str:
    return f"width {goal.until_width}" if goal.until_width is not None else f"above or below {goal.until_decided}"
