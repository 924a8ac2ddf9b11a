"""Savings of allocation and stopping. The true rates are those of the paper's Table 2."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.statistics.intervals import clopper_pearson, confidence_sequence
from core.allocation import AllocationGoal, Certainty, StoppingPolicy, SyntheticTrials, simulate

SWEEPS = 40


@pytest.mark.slow
@pytest.mark.parametrize(("width", "at_most"), [(0.6, 0.6), (0.4, 0.4), (0.2, 0.3)])
def test_allocation_reaches_a_width_on_all_cells_with_fewer_trials_than_equal_seeds(anytime, table_2, width, at_most):
    certainty = Certainty(AllocationGoal(until_width=width), anytime)
    ratios = []
    for seed in range(SWEEPS):
        trials = SyntheticTrials(table_2, seed)
        adaptive = simulate(trials, certainty, StoppingPolicy(), concurrency=8)
        assert all(adaptive.reached)
        seeds, unstable = 0, np.zeros(len(table_2), int)
        while not all(certainty.reached(int(k), seeds) for k in unstable):
            unstable += [trials.onset(cell, seeds) is not None for cell in range(len(table_2))]
            seeds += 1
        ratios.append(len(adaptive.trials) / (seeds * len(table_2)))
    print(f"width {width}: {np.mean(ratios):.3f} of the trials of equal allocation")
    assert np.mean(ratios) < at_most


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "at_most"), [(10, 0.42), (20, 0.34), (40, 0.28), (100, 0.25)])
def test_epochs_against_a_fixed_design_at_equal_width_of_the_worst_cell(anytime, table_2, seeds, at_most):
    """The fixed design trains the same number of seeds in each cell for all epochs. The audit share is 0.2.

    Both designs show the anytime interval. A saving of three quarters of the epochs needs the width of 60 seeds or
    more. At the width of 10 seeds in the cell with rate 0.7, cells with rate 0 or 1 need 4 seeds, and stable trials
    run all their epochs.
    """
    cells = len(table_2)
    fixed_goal = AllocationGoal(max_trials=cells * seeds, min_seeds=seeds)
    fixed_certainty = Certainty(fixed_goal, anytime)
    rows = []
    for seed in range(SWEEPS):
        trials = SyntheticTrials(table_2, seed)
        fixed = simulate(trials, fixed_certainty, StoppingPolicy(stop=False))
        assert fixed.epochs == cells * seeds * 200
        widest = max(fixed_certainty.width(*counts) for counts in fixed.counts)
        goal = Certainty(AllocationGoal(until_width=widest), anytime)
        arms = [
            simulate(trials, certainty, policy, concurrency=8)
            for certainty, policy in (
                (goal, StoppingPolicy(audit=0.2)),
                (goal, StoppingPolicy()),
                (goal, StoppingPolicy(stop=False)),
                (fixed_certainty, StoppingPolicy()),
            )
        ]
        assert max(goal.width(*counts) for counts in arms[0].counts) <= widest
        # The fixed design may use the narrower exact interval, because it has no interim looks.
        exact = AllocationGoal(until_width=max(clopper_pearson(*counts).width for counts in fixed.counts))
        arms.append(simulate(trials, Certainty(exact, anytime), StoppingPolicy(audit=0.2), concurrency=8))
        rows.append([widest, *(arm.epochs / fixed.epochs for arm in arms)])
    widest, both_audited, both, allocation, stopping, across_kinds = np.mean(rows, axis=0)
    print(
        f"{seeds} seeds, widest {widest:.2f}: allocation + stopping {both_audited:.3f} with audit, {both:.3f} without; "
        f"allocation alone {allocation:.3f}; stopping alone {stopping:.3f}; "
        f"anytime as narrow as the fixed design's exact interval {across_kinds:.3f}"
    )
    assert both < both_audited < at_most
    assert both < min(allocation, stopping)


@pytest.mark.parametrize(
    ("rate", "width", "price"), [(0.0, 0.4, 1.38), (0.5, 0.4, 2.04), (0.0, 0.2, 1.71), (0.5, 0.2, 2.63)]
)
def test_price_of_looking(rate, width, price):
    """Ratio of the numbers of trials that the anytime and the exact interval need for the same width."""
    needed = [
        next(n for n in range(1, 400) if interval(round(rate * n), n).width <= width)
        for interval in (confidence_sequence, clopper_pearson)
    ]
    assert needed[0] / needed[1] == pytest.approx(price, abs=0.01)
