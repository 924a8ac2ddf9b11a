"""The effects of the swept options: Firth's logistic regression, and exact tests between cells."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from firthmodels import FirthLogisticRegression, detect_separation
from scipy.special import expit
from scipy.stats import boschloo_exact, fisher_exact

from analysis.questions.rates import Label, cell_rates, coupled_options, has_label, naming_factors
from analysis.statistics.design_matrix import DesignColumn, design_matrix
from analysis.statistics.multiple_testing import holm
from analysis.statistics.rate_difference import difference_ends
from core.records import TrialRecord


@dataclass(frozen=True)
class Effect:
    """The effect of one option, or one of its values, on the odds of the label, with the other options held fixed."""

    factor: str
    contrast: str
    odds_ratio: float
    low: float
    """Lower end of the profile-likelihood interval of the odds ratio; 0 if the profile has none."""
    high: float
    """Upper end of this interval; inf if the profile has none."""
    p_value: float
    """Penalised likelihood-ratio test."""
    adjusted: float
    """P-value with Holm's correction over all effects."""
    average_change: float
    """Mean change of the fitted rate over all trials, from the lowest to the highest value of the contrast."""
    separated: bool
    """Whether the maximum-likelihood estimate is infinite: no trial, or every trial, on one side has the label."""


@dataclass(frozen=True)
class Effects:
    """Effects in descending order of `abs(average_change)`, and notes about the fit."""

    label: Label
    level: float
    effects: list[Effect]
    trials: int
    notes: list[str]


@dataclass(frozen=True)
class PairTest:
    """An exact test of the hypothesis that two cells have the same rate."""

    cells: tuple[str, str]
    counts: tuple[tuple[int, int], tuple[int, int]]
    """(k, n) of each cell."""
    difference: tuple[float, float]
    """Ends of the interval of the first rate minus the second, one for each pair, not corrected."""
    p_value: float
    adjusted: float
    """P-value with Holm's correction over all pairs."""


def factor_effects(records: Sequence[TrialRecord], label: Label = "any", level: float = 0.95) -> Effects:
    """Main effects of the options that vary in the sweep, by Firth's (1993) penalised logistic regression.

    The penalty keeps estimates finite if a cell has 0/n or n/n; Heinze and Schemper (2002) recommend it with profile
    intervals for this case. The model has no interactions: an effect is an average over the values of the other options
    in this sweep.
    """
    trials = [record for record in records if has_label(record, label) is not None]
    outcome = np.array([has_label(record, label) is True for record in trials], int)
    factors, coupled = naming_factors(trials), coupled_options(trials)
    plan = design_matrix([record.cell for record in trials], factors)
    notes = [
        f"{', '.join(coupled[name])} cannot be distinguished from {name}: they change together in this sweep"
        for name in factors
        if coupled[name]
    ]
    notes += plan.aliased.values()
    if not plan.columns:
        return Effects(label, level, [], len(trials), [*notes, "no option varies among finished trials"])
    if outcome.min() == outcome.max():
        same = "every" if outcome[0] else "no"
        return Effects(label, level, [], len(trials), [*notes, f"{same} trial has the label"])
    x = plan.matrix
    with warnings.catch_warnings():
        # an interval end that the search cannot reach is NaN and becomes 0 or inf below
        warnings.simplefilter("ignore")
        model = FirthLogisticRegression(backend="numpy", max_iter=200).fit(x, outcome)
        ends = model.conf_int(alpha=1 - level, method="pl", max_iter=200)[:-1]
        p_values = model.lrt().lrt_pvalues_[:-1]
    finite = np.asarray(detect_separation(x, outcome).is_finite)[:-1]
    effects = [
        Effect(
            factor=column.factor,
            contrast=column.contrast,
            odds_ratio=float(np.exp(model.coef_[i])),
            low=0.0 if np.isnan(ends[i, 0]) else float(np.exp(ends[i, 0])),
            high=np.inf if np.isnan(ends[i, 1]) else float(np.exp(ends[i, 1])),
            p_value=float(p_values[i]),
            adjusted=adjusted,
            average_change=_average_change(model, plan.columns, i),
            separated=not finite[i],
        )
        for i, (column, adjusted) in enumerate(zip(plan.columns, holm(list(p_values)), strict=True))
    ]
    notes += [_separation_note(effect) for effect in effects if effect.separated]
    if not model.converged_:
        notes.append("the fit did not converge: its numbers are not valid")
    return Effects(label, level, sorted(effects, key=lambda e: -abs(e.average_change)), len(trials), notes)


def pairwise_tests(records: Sequence[TrialRecord], label: Label = "any", level: float = 0.95) -> list[PairTest]:
    """One `exact_test` and one `difference_ends` for each pair of cells with counted trials.

    Both assume independent trials, and numbers of trials that were fixed in advance.
    """
    rates = [rate for rate in cell_rates(records, label) if rate.trials]
    pairs = list(combinations(rates, 2))
    counts = [((a.unstable, a.trials), (b.unstable, b.trials)) for a, b in pairs]
    p_values = [exact_test(*pair) for pair in counts]
    return [
        PairTest((a.cell_id, b.cell_id), pair, difference_ends(*pair, level), p, adjusted)
        for (a, b), pair, p, adjusted in zip(pairs, counts, p_values, holm(p_values), strict=True)
    ]


# cells of a sweep have few distinct counts, and one test takes milliseconds
@lru_cache(maxsize=4096)
def exact_test(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Two-sided p-value of an exact test that both counts (k, n) come from one rate; 1 if all or none of both are hits.

    The test is Boschloo's, which is uniformly more powerful than Fisher's, for up to 100 trials in both counts.
    Beyond that it is Fisher's, because the gain vanishes and Boschloo's test takes seconds.
    """
    (k, n), (j, m) = one, other
    if k + j in (0, n + m):
        return 1.0
    test = boschloo_exact if n + m <= 100 else fisher_exact
    return min(float(test([[k, j], [n - k, m - j]]).pvalue), 1.0)


def _average_change(model: FirthLogisticRegression, columns: list[DesignColumn], index: int) -> float:
    x = np.column_stack([column.values for column in columns])
    low, high = x.copy(), x.copy()
    # an indicator is a contrast with the factor's first value, for which all its indicators are 0
    siblings = [i for i, c in enumerate(columns) if c.factor == columns[index].factor and i != index]
    low[:, siblings] = high[:, siblings] = 0
    low[:, index], high[:, index] = x[:, index].min(), x[:, index].max()
    return float((expit(high @ model.coef_ + model.intercept_) - expit(low @ model.coef_ + model.intercept_)).mean())


def _separation_note(effect: Effect) -> str:
    return (
        f"separation: {effect.factor} ({effect.contrast}) divides the trials with the label from those without it, and "
        "therefore the data give only a bound of its odds ratio"
    )
