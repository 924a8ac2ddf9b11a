"""The effects of the swept options: Firth's logistic regression, and an exact test of two counts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from firthmodels import FirthLogisticRegression, detect_separation
from scipy.optimize import linprog
from scipy.special import expit
from scipy.stats import boschloo_exact, fisher_exact
from scipy.stats import t as student

from analysis.questions.rates import Label, coupled_options, has_label, naming_factors
from analysis.statistics.design_matrix import DesignColumn, design_matrix
from analysis.statistics.multiple_testing import holm
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
class Interaction:
    """How the effect of one option depends on another one."""

    factors: tuple[str, str]
    contrasts: tuple[str, str]
    ratio: float
    """Factor by which the odds ratio of the first contrast changes with the second one."""
    low: float
    """Lower end of the profile-likelihood interval of the ratio; 0 if the profile has none."""
    high: float
    """Upper end of this interval; inf if the profile has none."""
    p_value: float
    adjusted: float
    """P-value with Holm's correction over all interactions."""


@dataclass(frozen=True)
class Effects:
    """Effects in descending order of `abs(average_change)`, and notes about the fit."""

    label: Label
    level: float
    effects: list[Effect]
    trials: int
    notes: list[str]
    interactions: Sequence[Interaction] = ()
    groups: int | None = None
    """Number of groups of pinned seeds over which the errors were estimated; None without groups."""


def factor_effects(records: Sequence[TrialRecord], label: Label = "any", level: float = 0.95) -> Effects:
    """Main effects of the options that vary in the sweep, by Firth's (1993) penalised logistic regression.

    The penalty keeps estimates finite if a cell has 0/n or n/n; Heinze and Schemper (2002) recommend it with profile
    intervals for this case. The model of the main effects has no interactions: an effect is an average over the values
    of the other options in this sweep. Each pair of options is then tested for an interaction in a model of its own,
    which adds the products of their columns to the main effects.

    Where trials share pinned seeds, intervals and tests of the main effects come from a jackknife over groups with
    Student's t (CR3, MacKinnon, Nielsen and Webb 2023), and interactions are not tested.
    """
    trials = [record for record in records if has_label(record, label) is not None]
    outcome = np.array([has_label(record, label) is True for record in trials], int)
    factors, coupled = naming_factors(trials), coupled_options(trials)
    plan = design_matrix([record.cell for record in trials], factors)
    notes = [
        f"the effect of {name} cannot be told from that of {', '.join(coupled[name])}: they change together"
        for name in factors
        if coupled[name]
    ]
    notes += plan.aliased.values()
    if not plan.columns:
        return Effects(label, level, [], len(trials), [*notes, "no option varies among finished trials"])
    if outcome.min() == outcome.max():
        same = "every" if outcome[0] else "no"
        return Effects(label, level, [], len(trials), [*notes, f"{same} trial has the label"])
    x, every = plan.matrix, list(range(len(plan.columns)))
    group = _groups(trials)
    model, ends, p_values = _fit(x, outcome, every, level)
    if group is not None:
        ends, p_values = _jackknife(model, x, outcome, group, level)
    finite = np.asarray(detect_separation(x, outcome).is_finite)[:-1]
    effects = [
        Effect(
            factor=column.factor,
            contrast=column.contrast,
            odds_ratio=float(np.exp(model.coef_[i])),
            low=_exp(ends[i, 0], 0.0),
            high=_exp(ends[i, 1], np.inf),
            p_value=float(p_values[i]),
            adjusted=adjusted,
            average_change=_average_change(model, plan.columns, i),
            separated=not finite[i] and _divides(x, outcome, i),
        )
        for i, (column, adjusted) in enumerate(zip(plan.columns, holm(list(p_values)), strict=True))
    ]
    notes += [_separation_note(effect) for effect in effects if effect.separated]
    if not model.converged_:
        notes.append("the fit did not converge: its numbers are not valid")
    return Effects(
        label,
        level,
        sorted(effects, key=lambda e: -abs(e.average_change)),
        len(trials),
        notes,
        _interactions(plan.columns, x, outcome, level) if group is None else (),
        None if group is None else len(set(group)),
    )


def _fit(
    x: np.ndarray, outcome: np.ndarray, features: list[int], level: float
) -> tuple[FirthLogisticRegression, np.ndarray, np.ndarray]:
    """The fitted model, and the profile ends and p-values of some coefficients."""
    with warnings.catch_warnings():
        # an interval end that the search cannot reach is NaN
        warnings.simplefilter("ignore")
        model = FirthLogisticRegression(backend="numpy", max_iter=200).fit(x, outcome)
        ends = model.conf_int(alpha=1 - level, method="pl", features=features, max_iter=200)[features]
        return model, ends, model.lrt(features).lrt_pvalues_[features]


def _jackknife(
    model: FirthLogisticRegression, x: np.ndarray, outcome: np.ndarray, group: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Ends and p-values of the coefficients, from fits without one group each; unknown with fewer than three groups."""
    every = np.unique(group)
    coefficients = model.coef_
    if len(every) < 3:
        return np.full((len(coefficients), 2), np.nan), np.ones(len(coefficients))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        left = np.array(
            [
                FirthLogisticRegression(backend="numpy", max_iter=200).fit(x[group != one], outcome[group != one]).coef_
                for one in every
            ]
        )
    error = np.sqrt((len(every) - 1) / len(every) * ((left - coefficients) ** 2).sum(axis=0))
    half = student.ppf((1 + level) / 2, len(every) - 1) * error
    with np.errstate(divide="ignore"):
        p_values = 2 * student.sf(np.abs(coefficients) / error, len(every) - 1)
    return np.column_stack([coefficients - half, coefficients + half]), p_values


def _groups(trials: Sequence[TrialRecord]) -> np.ndarray | None:
    """The group of pinned seeds of each trial; None if no trials share pinned seeds."""
    pins = [str(sorted(trial.pins.items())) for trial in trials]
    return np.unique(pins, return_inverse=True)[1] if len(set(pins)) > 1 else None


def _interactions(
    columns: Sequence[DesignColumn], x: np.ndarray, outcome: np.ndarray, level: float
) -> list[Interaction]:
    """One for each pair of columns of different options whose product the sweep can tell from the main effects."""
    found: list[tuple[DesignColumn, DesignColumn, float, np.ndarray, float]] = []
    for one, other in combinations(columns, 2):
        product = (one.values - one.values.mean()) * (other.values - other.values.mean())
        grown = np.column_stack([x, product])
        known = np.column_stack([np.ones(len(x)), grown])
        if one.factor == other.factor or np.linalg.matrix_rank(known) < known.shape[1]:
            continue
        model, ends, p_values = _fit(grown, outcome, [grown.shape[1] - 1], level)
        found.append((one, other, float(model.coef_[-1]), ends[0], float(p_values[0])))
    adjusted = holm([p for *_, p in found])
    return [
        Interaction(
            (one.factor, other.factor),
            (one.contrast, other.contrast),
            float(np.exp(size)),
            _exp(ends[0], 0.0),
            _exp(ends[1], np.inf),
            p,
            corrected,
        )
        for (one, other, size, ends, p), corrected in zip(found, adjusted, strict=True)
    ]


def _exp(end: float, unknown: float) -> float:
    return unknown if np.isnan(end) else float(np.exp(end))


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


def _divides(x: np.ndarray, outcome: np.ndarray, column: int) -> bool:
    """Whether a column of a separated design divides the outcomes, alone or in all directions that divide them.

    Where another column divides them, a coefficient may take a little of either sign beside it: its likelihood has no
    maximum, but its column need not divide anything.
    """
    if not np.asarray(detect_separation(x[:, [column]], outcome).is_finite)[0]:
        return True
    known = np.column_stack([x, np.ones(len(x))])
    sides = np.unique(np.where(outcome[:, None] == 1, known, -known), axis=0)
    aim = np.eye(known.shape[1])[column]
    least, most = (linprog(s * aim, A_ub=-sides, b_ub=np.zeros(len(sides)), bounds=(-1, 1)).fun for s in (1, -1))
    return bool(max(least, most) > -1e-9)


def _separation_note(effect: Effect) -> str:
    return (
        f"separation: {effect.factor} ({effect.contrast}) divides the trials with the label from those without it, and "
        "therefore the data give only a bound of its odds ratio"
    )
