from __future__ import annotations

from collections.abc import Callable
from math import comb

import numpy as np
import pytest
from scipy.optimize import linprog, minimize
from scipy.stats import chi2

from analysis.questions.effects import exact_test, factor_effects
from analysis.statistics.design_matrix import design_matrix


def sweep(record: Callable, rate: Callable[[dict], float], cells: list[dict], seeds: int) -> list:
    rng = np.random.default_rng(5)
    return [
        record(seed, "unstable" if rng.random() < rate(cell) else "stable", cell=cell)
        for cell in cells
        for seed in range(seeds)
    ]


GRID = [{"beta": beta, "batch_size": batch} for beta in (1.0, 3.0, 6.0) for batch in (64, 128)]


def penalised(coefficients: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """The log-likelihood plus half the log-determinant of the information (Firth 1993)."""
    eta = x @ coefficients
    p = 1 / (1 + np.exp(-eta))
    information = (x * (p * (1 - p))[:, None]).T @ x
    return float(y @ eta - np.logaddexp(0, eta).sum() + 0.5 * np.linalg.slogdet(information)[1])


def profile(value: float, index: int, best: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    free = [i for i in range(x.shape[1]) if i != index]

    def negative(rest: np.ndarray) -> float:
        coefficients = np.empty(x.shape[1])
        coefficients[index], coefficients[free] = value, rest
        return -penalised(coefficients, x, y)

    options = {"xatol": 1e-7, "fatol": 1e-10, "maxiter": 4000}
    return -minimize(negative, best[free], method="Nelder-Mead", options=options).fun


@pytest.mark.parametrize("separated", [False, True])
def test_effects_agree_with_direct_maximisation(record: Callable, separated: bool) -> None:
    records = sweep(record, lambda c: 1.0 * (c["beta"] < 2) if separated else 1 / (c["beta"] + 0.3), GRID, 6)
    x = np.array([[np.log2(r.cell["batch_size"]), np.log2(r.cell["beta"]), 1.0] for r in records])
    x[:, :2] -= x[:, :2].mean(axis=0)  # This changes only the intercept.
    y = np.array([r.verdict.outcome == "unstable" for r in records], float)
    fit = minimize(lambda b: -penalised(b, x, y), np.zeros(3), method="BFGS", options={"gtol": 1e-9})
    goal = -fit.fun - chi2.ppf(0.95, 1) / 2
    found = {effect.factor: effect for effect in factor_effects(records).effects}
    for index, factor in [(0, "batch_size"), (1, "beta")]:
        effect = found[factor]
        assert np.log(effect.odds_ratio) == pytest.approx(fit.x[index], abs=2e-3)
        drop = 2 * (-fit.fun - profile(0.0, index, fit.x, x, y))
        assert effect.p_value == pytest.approx(chi2.sf(drop, 1), abs=1e-3)
        for end in (effect.low, effect.high):
            assert profile(float(np.log(end)), index, fit.x, x, y) == pytest.approx(goal, abs=2e-3)
        assert np.log(effect.low) < fit.x[index] < np.log(effect.high)
    assert {f: e.separated for f, e in found.items()} == {"batch_size": False, "beta": separated}


def test_separation_is_what_a_linear_program_finds(record: Callable) -> None:
    records = sweep(record, lambda c: float(c["beta"] < 2 or c["batch_size"] < 100), GRID, 4)
    found = factor_effects(records)
    x = np.array([[np.log2(r.cell["batch_size"]), np.log2(r.cell["beta"]), 1.0] for r in records])
    signs = np.array([1.0 if r.verdict.outcome == "unstable" else -1.0 for r in records])
    margin = linprog([0, 0, 0, -1], A_ub=np.column_stack([-signs[:, None] * x, np.ones(len(x))]), b_ub=np.zeros(len(x)),
                     bounds=[(-10, 10)] * 3 + [(0, 1)])  # fmt: skip
    assert margin.x[3] > 0
    assert all(effect.separated for effect in found.effects)
    assert sum("separation" in note for note in found.notes) == 2


def test_an_option_beside_one_that_divides_the_trials_has_its_own_estimate(record: Callable) -> None:
    """Batch size divides the trials, beta does nothing: the likelihood has no maximum in either coefficient."""
    found = factor_effects(sweep(record, lambda c: float(c["batch_size"] < 100), GRID, 4))
    effects = {effect.factor: effect for effect in found.effects}
    assert {name: effect.separated for name, effect in effects.items()} == {"batch_size": True, "beta": False}
    assert effects["beta"].odds_ratio == pytest.approx(1, abs=1e-3)
    assert effects["beta"].low == pytest.approx(1 / effects["beta"].high, rel=1e-3)
    assert sum("separation" in note for note in found.notes) == 1


def test_the_strongest_factor_comes_first(record: Callable) -> None:
    records = sweep(record, lambda c: 0.9 if c["beta"] < 2 else 0.5 if c["beta"] < 4 else 0.05, GRID, 20)
    first, second = factor_effects(records).effects
    assert (first.factor, second.factor) == ("beta", "batch_size")
    assert first.average_change == pytest.approx(-0.85, abs=0.15)
    assert first.high < 1
    assert second.low < 1 < second.high


def test_what_cannot_be_estimated_is_said(record: Callable) -> None:
    assert factor_effects([record(0), record(1, "unstable")]).notes == ["no option varies among finished trials"]
    stable = [record(i, cell={"beta": float(1 + i)}) for i in range(3)]
    assert "no trial has the label" in factor_effects(stable).notes[0]
    settings = ((1.0, 0.1), (2.0, 0.2), (2.0, 0.4))
    few = [
        record(i, "unstable" if i else "stable", cell={"beta": beta, "lr": lr}) for i, (beta, lr) in enumerate(settings)
    ]
    assert factor_effects(few[:2]).notes[0].startswith("the effect of beta cannot be told from that of lr")
    assert [effect.separated for effect in factor_effects(few).effects] == [True, True]


def test_columns_are_scaled_by_their_kind() -> None:
    cells = [
        {"lr": 0.1, "awp_radius": 0.0, "model": "b", "compile": False},
        {"lr": 0.4, "awp_radius": 0.01, "model": "a", "compile": True},
        {"lr": 0.1, "awp_radius": 0.01, "model": "c", "compile": True},
        {"lr": 0.4, "awp_radius": 0.0, "model": "a", "compile": True},
        {"lr": 0.2, "awp_radius": 0.0, "model": "c", "compile": False},
        {"lr": 0.1, "awp_radius": 0.0, "model": "a", "compile": False},
        {"lr": 0.2, "awp_radius": 0.01, "model": "b", "compile": True},
    ]
    found = design_matrix(cells, ["lr", "awp_radius", "model", "compile"])
    assert [c.contrast for c in found.columns] == [
        "per doubling",
        "per standard deviation (0.00495)",
        "b against a",
        "c against a",
        "true against false",
    ]
    assert found.columns[0].values[:2] == pytest.approx(np.log2([0.1, 0.4]))
    assert found.columns[1].values.std() == pytest.approx(1)
    assert found.aliased == {}


def boschloo_by_hand(k: int, n: int, j: int, m: int) -> float:
    def fisher(a: int, b: int, less: bool) -> float:
        total = a + b
        support = range(max(0, total - m), min(n, total) + 1)
        kept = [i for i in support if (i <= a if less else i >= a)]
        return sum(comb(n, i) * comb(m, total - i) for i in kept) / comb(n + m, total)

    sides = []
    rates = np.linspace(0.0005, 0.9995, 4000)
    for less in (True, False):
        seen, mass = fisher(k, j, less), np.zeros_like(rates)
        for a in range(n + 1):
            for b in range(m + 1):
                if fisher(a, b, less) <= seen + 1e-12:
                    mass += comb(n, a) * comb(m, b) * rates ** (a + b) * (1 - rates) ** (n + m - a - b)
        sides.append(mass.max())
    return min(1.0, 2 * min(sides))


@pytest.mark.parametrize("counts", [(7, 10, 1, 6), (3, 3, 0, 3), (10, 10, 7, 10), (2, 8, 3, 9)])
def test_exact_test_agrees_with_enumeration(counts: tuple[int, int, int, int]) -> None:
    k, n, j, m = counts
    assert exact_test((k, n), (j, m)) == pytest.approx(boschloo_by_hand(*counts), abs=2e-4)


def test_many_trials_are_compared_by_fishers_test() -> None:
    chances = [comb(60, i) * comb(60, 62 - i) / comb(120, 62) for i in range(2, 61)]
    as_rare = sum(chance for chance in chances if chance <= chances[40 - 2] * (1 + 1e-9))
    assert exact_test((40, 60), (22, 60)) == pytest.approx(as_rare)


def test_an_interaction_is_found_where_batch_size_matters_at_one_beta_only(record: Callable) -> None:
    records = sweep(record, lambda c: 0.5 if c["beta"] > 1 else 0.05 + 0.9 * (c["batch_size"] > 64), GRID[:4], 60)
    (found,) = factor_effects(records).interactions
    assert set(found.factors) == {"beta", "batch_size"}
    assert found.p_value == found.adjusted < 1e-4
    assert found.low < found.ratio < found.high < 1
    additive = sweep(record, lambda c: 0.3 + 0.3 * (c["beta"] > 1), GRID[:4], 60)
    (found,) = factor_effects(additive).interactions
    assert found.p_value > 0.05


def test_effects_of_a_pinned_sweep_know_their_groups(record: Callable) -> None:
    rng, cells = np.random.default_rng(0), [{"beta": beta} for beta in (1.0, 6.0)]
    records = [
        record(
            10 * group + seed,
            "unstable" if rng.random() < unlucky else "stable",
            cell=cell,
            fields={"pins": {"init": group}},
        )
        for group in range(6)
        for cell, unlucky in zip(cells, rng.permutation([0.05, 0.95]), strict=True)
        for seed in range(8)
    ]
    found = factor_effects(records)
    (effect,) = found.effects
    assert (found.groups, found.interactions) == (6, ())
    assert effect.p_value > 0.05
    assert effect.low < 1 < effect.high
    few = factor_effects([r for r in records if r.pins["init"] < 2])
    assert (few.effects[0].low, few.effects[0].high, few.effects[0].p_value) == (0, np.inf, 1)
