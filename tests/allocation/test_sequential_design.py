"""Sequential designs against enumeration of all sequences of outcomes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from core.allocation import AllocationGoal, CellTruth, Certainty, StoppingPolicy, SyntheticTrials, simulate
from core.allocation.lattice import RATE_STEPS, exact_intervals
from core.allocation.sequential_design import SequentialDesign, sequential_design

RATES = np.concatenate([np.linspace(0.0005, 0.9995, 1501), [1 / 3, 0.3, 0.7]])


def width_design(width: float) -> SequentialDesign:
    design = sequential_design(AllocationGoal(until_width=width))
    assert design is not None
    return design


@pytest.mark.parametrize("width", [0.684, 0.6])
def test_ends_and_their_probabilities_are_those_of_all_sequences(width: float) -> None:
    design = width_design(width)
    last = int(design.ends.n.max())
    found: dict[tuple[int, int], float] = {}
    for outcomes in product((False, True), repeat=last):
        k, n = design.end(outcomes) or pytest.fail("a sequence does not end")
        found[k, n] = found.get((k, n), 0.0) + 0.3 ** sum(outcomes) * 0.7 ** (last - sum(outcomes))
    listed = list(zip(design.ends.k.tolist(), design.ends.n.tolist(), strict=True))
    assert found.keys() == set(listed)
    exact = np.exp(design.ends.log_probability(np.array([0.3])))[:, 0]
    assert exact == pytest.approx([found[count] for count in listed])


def test_intervals_are_those_of_the_likelihood_ratio_tests() -> None:
    """Every rate of the grid and every end of a small design, by the definition of the test."""
    design = width_design(0.684)
    ends = list(zip(design.ends.k.tolist(), design.ends.n.tolist(), strict=True))
    kept: dict[tuple[int, int], list[float]] = {end: [] for end in ends}
    for rate in np.arange(1, RATE_STEPS) / RATE_STEPS:
        p = dict(zip(ends, np.exp(design.ends.log_probability(np.array([rate])))[:, 0], strict=True))
        ratio = {(k, n): (k / n) ** k * (1 - k / n) ** (n - k) / rate**k / (1 - rate) ** (n - k) for k, n in ends}
        for end in ends:
            if sum(p[other] for other in ends if ratio[other] >= ratio[end] * (1 - 1e-9)) > 0.05:
                kept[end].append(rate)
    for end, rates in kept.items():
        low, high = design.interval(*end)
        assert low == pytest.approx(max(rates[0] - 1 / RATE_STEPS, 0), abs=1e-9)
        assert high == pytest.approx(min(rates[-1] + 1 / RATE_STEPS, 1), abs=1e-9)


@pytest.mark.parametrize("options", [{"until_width": 0.684}, {"until_width": 0.4}, {"until_decided": 0.3}])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_coverage_is_at_least_nominal_at_every_rate(options: dict, level: float) -> None:
    design = sequential_design(AllocationGoal(**options, max_trials=1))
    assert design is not None
    intervals = exact_intervals(design.ends, level)
    covers = (intervals[:, :1] <= RATES) & (intervals[:, 1:] >= RATES)
    p = np.exp(design.ends.log_probability(RATES))
    assert p.sum(axis=0) == pytest.approx(1)
    assert (p * covers).sum(axis=0).min() >= level


@pytest.mark.parametrize("width", [0.95, 0.684, 0.5, 0.3])
def test_no_interval_is_wider_than_asked(width: float) -> None:
    assert np.ptp(exact_intervals(width_design(width).ends), axis=1).max() <= width + 1e-9


@pytest.mark.parametrize(
    "goal",
    [
        AllocationGoal(until_decided=0.5, max_trials=1),
        AllocationGoal(until_decided=0.1, max_trials=1),
        AllocationGoal(until_decided=0.4, indifference=0.2, max_trials=1),
    ],
)
def test_a_decision_is_wrong_with_at_most_five_percent_outside_its_zone(goal: AllocationGoal) -> None:
    design = sequential_design(goal)
    assert design is not None
    above = np.array([design.decision(k, n) == "above" for k, n in zip(design.ends.k, design.ends.n, strict=True)])
    says_above = np.exp(design.ends.log_probability(RATES))[above].sum(axis=0)
    low, high = goal.zone
    assert says_above[low >= RATES].max() <= 0.05
    assert says_above[high <= RATES].min() >= 0.95
    assert np.exp(design.ends.log_probability(np.array([low])))[above].sum() > 0.04, "the promise is used"


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_sweep_ends_each_cell_where_its_path_first_meets_the_design(anytime, concurrency: int) -> None:
    truths = tuple(CellTruth(rate=rate, epochs=50, onset_epochs=(3,), censored=0.1) for rate in (0.1, 0.5, 0.9))
    certainty = Certainty(AllocationGoal(until_width=0.6, min_seeds=1), anytime)
    assert certainty.design is not None
    for seed in range(20):
        swept = simulate(SyntheticTrials(truths, seed), certainty, StoppingPolicy(), concurrency=concurrency)
        assert all(swept.reached)
        for cell, counts in enumerate(swept.counts):
            ran = sorted((t for t in swept.trials if t.cell == cell), key=lambda t: t.seed)
            outcomes = [t.ever_unstable for t in ran if t.ever_unstable is not None]
            assert counts == certainty.design.end(outcomes)


@pytest.mark.parametrize("options", [{"until_width": 0.05}, {"until_width": 0.4, "until_decided": 0.5}, {}])
def test_other_goals_have_no_design(options: dict) -> None:
    assert sequential_design(AllocationGoal(**options, max_trials=9)) is None


@pytest.mark.parametrize(
    "options, said",
    [
        ({"until_width": 0.4, "indifference": 0.1}, "needs until_decided"),
        ({"until_decided": 0.1, "indifference": 0.2, "max_trials": 9}, "must be within 0 and 1"),
    ],
)
def test_an_impossible_zone_is_refused(options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        AllocationGoal(**options)
