"""Epochs that adaptive sweeps need, against a fixed number of seeds in each cell. The rates are those of Table 2."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics.intervals import IntervalKind, interval
from core.allocation import (
    AllocationGoal,
    Certainty,
    SequentialDesign,
    StoppingPolicy,
    SyntheticTrials,
    sequential_design,
    simulate,
)

SWEEPS = 40
STOPPED = 102
"""Mean epochs of a stopped trial: onsets are uniform over 50 to 150, and confirmed 2 epochs later."""
EPOCHS = 200
INTERVALS: tuple[IntervalKind, ...] = ("anytime", "clopper-pearson", "blaker", "wilson")


def fixed_width(kind: IntervalKind, seeds: int) -> float:
    """The width that a fixed design with this interval shows of its least certain cell, whose rate is 0.7."""
    return interval(kind, round(0.7 * seeds), seeds).width


def expected_share(design: SequentialDesign, rates: list[float], seeds: int, audit: float) -> float:
    """Expected epochs of all cells over those of a fixed number of seeds that train to their end, without overrun."""
    p = np.exp(design.ends.log_probability(np.clip(rates, 1e-12, 1 - 1e-12)))
    unstable, stable = design.ends.k @ p, (design.ends.n - design.ends.k) @ p
    epochs = unstable * (audit * EPOCHS + (1 - audit) * STOPPED) + stable * EPOCHS
    return float(epochs.sum() / (len(rates) * seeds * EPOCHS))


@pytest.mark.parametrize("seeds, at_most", [(10, (0.25, 0.35, 0.43, 0.55)), (20, (0.2, 0.33, 0.35, 0.47))])
def test_epochs_until_a_width_against_a_fixed_number_of_seeds(table_2, seeds, at_most):
    """One limit for each interval that the fixed design may wear, with an audit of 0.05."""
    rates = [truth.rate for truth in table_2]
    for kind, limit in zip(INTERVALS, at_most, strict=True):
        width = fixed_width(kind, seeds)
        design = sequential_design(AllocationGoal(until_width=width))
        shares = {audit: expected_share(design, rates, seeds, audit) for audit in (0.0, 0.05, 0.2)}
        print(f"{seeds} seeds, {kind} width {width:.3f}: " + ", ".join(f"{s:.3f} ({a})" for a, s in shares.items()))
        assert shares[0.0] < shares[0.05] < shares[0.2]
        assert shares[0.05] <= limit


def test_epochs_until_a_decision_against_ten_seeds(table_2):
    design = sequential_design(AllocationGoal(until_decided=0.5, max_trials=1))
    share = expected_share(design, [truth.rate for truth in table_2], 10, audit=0.2)
    print(f"decided: {share:.3f}")
    assert share <= 0.3


@pytest.mark.slow
@pytest.mark.parametrize("goal", [{"until_width": 0.684}, {"until_width": 0.4}, {"until_decided": 0.5}])
def test_trials_in_flight_cost_next_to_nothing(anytime, table_2, goal):
    """Eight trials at a time: those that run when their cell ends are lost."""
    certainty = Certainty(AllocationGoal(**goal, max_trials=5000), anytime)
    found, seconds = np.array([_epochs_and_seconds(table_2, certainty, slots) for slots in (1, 8)]).transpose(2, 0, 1)
    one, eight = found.mean(axis=1) / (len(table_2) * 10 * EPOCHS)
    print(f"{goal}: {eight:.3f} with 8 trials at a time, {one:.3f} with one; {seconds.mean(axis=1)} s")
    assert one <= eight <= one * 1.02
    # eight slots cannot be faster than an eighth
    assert seconds[1].mean() < seconds[0].mean() / 8 * 1.25


def _epochs_and_seconds(truths, certainty, slots):
    found = []
    for seed in range(SWEEPS):
        swept = simulate(SyntheticTrials(truths, seed), certainty, StoppingPolicy(audit=0.2), concurrency=slots)
        assert all(swept.reached)
        found.append((swept.epochs, swept.wall_seconds))
    return found


@pytest.mark.parametrize(
    ("rate", "width", "price"), [(0.0, 0.4, 1.38), (0.5, 0.4, 2.04), (0.0, 0.2, 1.71), (0.5, 0.2, 2.63)]
)
def test_price_of_looking(rate, width, price):
    """Ratio of the numbers of trials that the anytime and the exact interval need for the same width."""
    needed = [
        next(n for n in range(1, 400) if interval(kind, round(rate * n), n).width <= width)
        for kind in ("anytime", "clopper-pearson")
    ]
    assert needed[0] / needed[1] == pytest.approx(price, abs=0.01)
