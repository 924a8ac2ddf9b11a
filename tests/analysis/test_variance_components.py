from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from statsmodels.regression.mixed_linear_model import MixedLM

from analysis.questions.variance_components import intraclass_share, permutation_test, variance_shares
from analysis.statistics.intraclass_correlation import binary_share_ends


def normal_groups(rng: np.random.Generator, share: float, groups: int = 8, size: int = 4) -> list[np.ndarray]:
    centres = np.sqrt(share) * rng.standard_normal(groups)
    return [centre + np.sqrt(1 - share) * rng.standard_normal(size) for centre in centres]


def test_share_agrees_with_a_mixed_model() -> None:
    groups = normal_groups(np.random.default_rng(0), 0.6, groups=12, size=5)
    y, labels = np.concatenate(groups), np.repeat(np.arange(12), 5)
    fit = MixedLM(y, np.ones((60, 1)), labels).fit(
        reml=True
    )  # In a balanced layout the estimate equals that of the analysis of variance.
    theirs = fit.cov_re[0, 0] / (fit.cov_re[0, 0] + fit.scale)
    assert intraclass_share(groups)[0] == pytest.approx(float(theirs), abs=1e-3)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_interval_covers_normal_outcomes(share: float) -> None:
    rng, sweeps = np.random.default_rng(1), 1500
    covered = sum(share in intraclass_share(normal_groups(rng, share))[1] for _ in range(sweeps)) / sweeps
    assert covered >= 0.95 - 2.5 * np.sqrt(0.05 * 0.95 / sweeps)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("rate", [0.2, 0.5])
@pytest.mark.parametrize("groups, size", [(4, 3), (8, 4)])
def test_interval_covers_yes_no_outcomes(share: float, rate: float, groups: int, size: int) -> None:
    rng, sweeps, counts = np.random.default_rng(2), 400, np.full(groups, size)
    chance = np.full((sweeps, groups), rate)
    if share == 1:
        chance = (rng.random((sweeps, groups)) < rate).astype(float)
    elif share:
        strength = 1 / share - 1
        chance = rng.beta(rate * strength, (1 - rate) * strength, (sweeps, groups))
    covered = 0
    draws, times = np.unique(np.sort(rng.binomial(counts, chance), axis=1), axis=0, return_counts=True)
    for hits, n in zip(draws, times, strict=True):
        same = hits.sum() in (0, counts.sum())
        ends = (0.0, 1.0) if same else binary_share_ends((size,) * groups, hits.tolist(), 0.95)
        covered += n * (ends[0] <= share <= ends[1])
    assert covered / sweeps >= 0.95


def test_permutation_test_agrees_with_all_permutations() -> None:
    groups = [np.array([0.0, 1.0]), np.array([2.0, 2.5]), np.array([4.0, 3.0])]

    def spread(values: tuple[float, ...]) -> float:
        return sum(sum(values[i : i + 2]) ** 2 for i in (0, 2, 4))

    values = tuple(np.concatenate(groups))
    exact = np.mean([spread(order) >= spread(values) - 1e-9 for order in permutations(values)])
    assert permutation_test(groups, np.random.default_rng(0), 20_000) == pytest.approx(exact, abs=0.01)


def pinned(record: Callable, pins: dict[str, int], seeds: list[int], unstable: Callable[[int], bool]) -> list:
    return [record(seed, "unstable" if unstable(seed) else "stable", fields={"pins": pins}) for seed in seeds]


def test_initialisation_that_decides_everything_is_found(record: Callable, evidence: Callable) -> None:
    records = [
        r for i in range(8) for r in pinned(record, {"init": i}, [10 * i, 10 * i + 1], lambda s: s // 10 % 2 > 0)
    ]
    records += [record(99), record(98, "censored", fields={"pins": {"init": 0}})]
    (found,) = variance_shares(records)
    assert (found.pinned, found.free) == (("init",), ("order", "augmentation", "attack"))
    assert (found.groups, found.trials, found.share) == (8, 16, 1)
    assert found.interval.low > 0.1  # Like the permutation test, the interval excludes 0.
    assert found.p_value < 0.01
    assert "seeds of init decide" in found.question


def test_each_set_of_pinned_streams_is_its_own_design(record: Callable, evidence: Callable) -> None:
    def trial(seed: int, pins: dict[str, int], gap: float) -> object:
        shown = (evidence(pgd_10=0.3 + gap, square=0.3),)
        return record(seed, "stable", onsets=(3 + seed,), evidence=shown, fields={"pins": pins})

    rest = [trial(i, {"order": i // 3, "augmentation": i // 3, "attack": i // 3}, 0.01 * (i % 3)) for i in range(6)]
    init = [trial(10 + i, {"init": i // 2}, 0.01 * (i // 2) + 0.001 * (i % 2)) for i in range(6)]
    first, second = variance_shares(rest + init, "gap")
    assert (first.pinned, second.pinned) == (("init",), ("order", "augmentation", "attack"))
    assert first.share > 0.9
    assert second.share == 0
    assert len(variance_shares(rest + init, "onset_epoch")) == 2
    assert variance_shares(rest + init)[0].share is None


def test_a_single_pinned_seed_says_nothing(record: Callable) -> None:
    assert variance_shares(pinned(record, {"init": 0}, [1, 2, 3], lambda s: s > 1)) == []
    lone = [r for i in range(4) for r in pinned(record, {"init": i}, [i], lambda s: s > 1)]
    assert variance_shares(lone) == []


def test_an_unknown_outcome_is_refused(record: Callable) -> None:
    with pytest.raises(ValueError, match="outcome 'loss' must be one of unstable, onset_epoch, gap"):
        variance_shares([record()], "loss")  # type: ignore[arg-type]
