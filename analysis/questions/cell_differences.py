"""The differences between the rates of cells, each with an interval that suits the sweep's design.

============  =====================================================================================================
``paired``    The number of seeds was fixed, and the cells share most seeds: an exact interval and test for pairs. It
              holds for independent cells, too. With positively correlated outcomes of one seed it is narrower. Seeds
              that count in one cell only are left out.
``melded``    The number of seeds was fixed, and most seeds differ: a melded interval, and Boschloo's test.
``groups``    Trials share pinned seeds: the rates of groups that both cells have are paired. The interval holds for any
              distribution of their differences, and the test flips their signs.
``corners``   The numbers of trials depended on results: the corners of the cells' own intervals at half the error. They
              have no p-value; two cells differ if the interval excludes 0.
============  =====================================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.stats import permutation_test

from analysis.questions.effects import exact_test
from analysis.questions.rates import CellRate, Label, cell_rates, has_label
from analysis.statistics.bounded_mean import bounded_mean_ends
from analysis.statistics.intervals import IntervalKind
from analysis.statistics.multiple_testing import holm
from analysis.statistics.paired_counts import paired_p_value, paired_share_ends
from analysis.statistics.rate_difference import difference_ends
from core.allocation import SequentialDesign
from core.records import TrialRecord

Ends = tuple[float, float]
Basis = Literal["paired", "melded", "groups", "corners"]
MIN_PAIRS = 2
"""Smallest number of pairs, or of groups, that are compared."""
MIN_SHARED_SEEDS = 0.5
"""Smallest share of both cells' seeds that are compared in pairs."""


@dataclass(frozen=True)
class CellDifference:
    """The rate of the first cell minus that of the second."""

    cells: tuple[str, str]
    counts: tuple[tuple[int, int], tuple[int, int]]
    """(k, n) of each cell."""
    basis: Basis
    ends: Ends
    together: Ends
    """Ends of the interval that holds for all pairs of cells together, by Bonferroni's correction."""
    correlation: float | None
    """Correlation of the outcomes of trials with the same seed; None without such pairs, or if nothing varies."""
    p_value: float | None
    adjusted: float | None
    """P-value with Holm's correction over all pairs."""

    @property
    def differ(self) -> bool:
        """Whether the cells differ, with an error of at most 5 % over all pairs together."""
        return self.adjusted <= 0.05 if self.adjusted is not None else not self.together[0] <= 0 <= self.together[1]


def cell_differences(
    records: Sequence[TrialRecord],
    label: Label = "any",
    level: float = 0.95,
    kind: IntervalKind = "blaker",
    design: SequentialDesign | None = None,
) -> list[CellDifference]:
    """One difference for each pair of cells with counted trials.

    Args:
        records: trials that may be counted.
        label: label whose rates are compared.
        level: coverage of the intervals.
        kind: kind of the intervals of the rates, which follows from the design.
        design: the design by which the cells of an adaptive sweep end.
    """
    trials: dict[str, list[TrialRecord]] = {}
    for record in records:
        if has_label(record, label) is not None:
            trials.setdefault(record.cell_id, []).append(record)
    by_seed = {cell: _by_seed(group, label) for cell, group in trials.items()}
    by_group = {cell: _by_group(group, label) for cell, group in trials.items()}
    counted = [cell for cell in cell_rates(records, label) if cell.trials]
    pairs = list(combinations(counted, 2))
    strict = 1 - (1 - level) / max(1, len(pairs))
    if kind in ("anytime", "sequential", "clustered-anytime"):
        ends = [
            {cell.cell_id: cell for cell in cell_rates(records, label, (1 + asked) / 2, kind, design)}
            for asked in (level, strict)
        ]
        return [
            _difference(pair, by_seed, "corners", (_corners(ends[0], pair), _corners(ends[1], pair))) for pair in pairs
        ]
    found = [
        _of_groups(pair, by_group, by_seed, level, strict)
        if kind == "clustered"
        else _of_trials(pair, by_seed, level, strict)
        for pair in pairs
    ]
    adjusted = holm([1.0 if one.p_value is None else one.p_value for one in found])
    return [
        CellDifference(**{**vars(one), "adjusted": None if one.p_value is None else p})
        for one, p in zip(found, adjusted, strict=True)
    ]


Pair = tuple[CellRate, CellRate]
BySeed = dict[str, dict[int, bool]]
"""Whether the label holds, by cell and seed."""
ByGroup = dict[str, dict[str, float]]
"""Share of the trials for which the label holds, by cell and pinned group."""


def _of_trials(pair: Pair, by_seed: BySeed, level: float, strict: float) -> CellDifference:
    counts = [(cell.unstable, cell.trials) for cell in pair]
    one, other = (by_seed[cell.cell_id] for cell in pair)
    shared = one.keys() & other.keys()
    if len(shared) < max(MIN_PAIRS, MIN_SHARED_SEEDS * len(one), MIN_SHARED_SEEDS * len(other)):
        melded = difference_ends(counts[0], counts[1], level), difference_ends(counts[0], counts[1], strict)
        return _difference(pair, by_seed, "melded", melded, exact_test(counts[0], counts[1]))
    first, second = sum(one[s] and not other[s] for s in shared), sum(other[s] and not one[s] for s in shared)
    ends = paired_share_ends(first, second, len(shared), level), paired_share_ends(first, second, len(shared), strict)
    return _difference(pair, by_seed, "paired", ends, paired_p_value(first, second, len(shared)))


def _of_groups(pair: Pair, by_group: ByGroup, by_seed: BySeed, level: float, strict: float) -> CellDifference:
    one, other = (by_group[cell.cell_id] for cell in pair)
    differences = [one[group] - other[group] for group in one.keys() & other.keys()]
    if len(differences) < MIN_PAIRS:
        return _difference(pair, by_seed, "groups", ((-1.0, 1.0), (-1.0, 1.0)))
    ends = bounded_mean_ends(differences, -1, 1, level), bounded_mean_ends(differences, -1, 1, strict)
    test = permutation_test((np.array(differences),), np.mean, permutation_type="samples", n_resamples=4095, rng=0)
    return _difference(pair, by_seed, "groups", ends, float(test.pvalue))


def _corners(cells: dict[str, CellRate], pair: Pair) -> Ends:
    one, other = (cells[cell.cell_id].interval for cell in pair)
    return one.low - other.high, one.high - other.low


def _difference(
    pair: Pair,
    by_seed: BySeed,
    basis: Basis,
    ends: tuple[Ends, Ends],
    p_value: float | None = None,
) -> CellDifference:
    one, other = pair
    return CellDifference(
        cells=(one.cell_id, other.cell_id),
        counts=((one.unstable, one.trials), (other.unstable, other.trials)),
        basis=basis,
        ends=ends[0],
        together=ends[1],
        correlation=_correlation(*(by_seed[cell.cell_id] for cell in pair)),
        p_value=p_value,
        adjusted=None,
    )


def _by_seed(trials: Sequence[TrialRecord], label: Label) -> dict[int, bool]:
    return {trial.seed: has_label(trial, label) is True for trial in trials}


def _by_group(trials: Sequence[TrialRecord], label: Label) -> dict[str, float]:
    groups: dict[str, list[bool]] = {}
    for trial in trials:
        groups.setdefault(str(sorted(trial.pins.items())), []).append(has_label(trial, label) is True)
    return {group: sum(held) / len(held) for group, held in groups.items()}


def _correlation(one: dict[int, bool], other: dict[int, bool]) -> float | None:
    shared = sorted(one.keys() & other.keys())
    a, b = ([found[seed] for seed in shared] for found in (one, other))
    if len(set(a)) < 2 or len(set(b)) < 2:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def seed_correlation(records: Sequence[TrialRecord], label: Label) -> tuple[float, int] | None:
    """Correlation of the outcomes of one seed in two cells, and the number of pairs; None if nothing varies.

    Outcomes are compared with their cell's rate, so that differences between cells do not count as correlation. It is
    the mean product over all pairs of trials with one seed, over the mean square.
    """
    rates = {cell.cell_id: cell.rate or 0.0 for cell in cell_rates(records, label)}
    by_seed: dict[int, list[float]] = {}
    for record in records:
        held = has_label(record, label)
        if held is not None:
            by_seed.setdefault(record.seed, []).append(held - rates[record.cell_id])
    residuals = [np.array(found) for found in by_seed.values() if len(found) > 1]
    pairs = sum(len(found) * (len(found) - 1) // 2 for found in residuals)
    products = sum((found.sum() ** 2 - (found**2).sum()) / 2 for found in residuals)
    squares = sum((found**2).sum() * (len(found) - 1) / 2 for found in residuals)
    return (float(products / squares), pairs) if squares else None
