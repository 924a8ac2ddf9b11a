"""How often the intervals that are printed contain the truth, over simulated sweeps, and how far estimates lean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean
from typing import NamedTuple

import numpy as np

from analysis.questions.cell_differences import cell_differences
from analysis.questions.countable_trials import countable_trials
from analysis.questions.displayed_rates import displayed_rates
from analysis.questions.effects import factor_effects
from analysis.questions.onset import onset_survival
from analysis.questions.rates import cell_rates
from analysis.questions.simulated_sweeps import EPOCHS, SimulatedSweep, World, with_plans
from analysis.statistics.auc import auc_within
from analysis.statistics.bounded_mean import bounded_mean_ends
from analysis.statistics.intervals import IntervalKind, confidence_sequence
from core.allocation import AllocationGoal, Certainty, SweepPlan
from core.allocation.certainty import IntervalOf

LEVEL = 0.95


class Check(NamedTuple):
    """One printed interval, or one statement about several, compared with the truth."""

    statement: str
    covered: bool
    error: float | None = None
    """Estimate minus truth."""
    width: float | None = None


@dataclass
class Found:
    """All checks of one statement in one design."""

    design: str
    statement: str
    covered: list[bool] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)

    @property
    def coverage(self) -> float:
        """Share of the checks that hold."""
        return sum(self.covered) / len(self.covered)


@dataclass(frozen=True)
class Scenario:
    """A design, and the checks of its n-th simulated sweep.

    Attributes:
        design: what the sweep does, in words.
        checks: the checks of the sweep with this number.
        share: sweeps of this scenario for each sweep that is asked for.
        exception: why statements cover less than their level here; empty if they must not.
    """

    design: str
    checks: Callable[[int], Iterator[Check]]
    share: float = 1.0
    exception: str = ""


def coverage_of(scenario: Scenario, sweeps: int) -> list[Found]:
    """The checks of a scenario by statement, over the simulated sweeps."""
    found: dict[str, Found] = {}
    for number in range(max(1, round(sweeps * scenario.share))):
        for check in scenario.checks(number):
            entry = found.setdefault(check.statement, Found(scenario.design, check.statement))
            entry.covered.append(check.covered)
            entry.errors += [] if check.error is None else [check.error]
            entry.widths += [] if check.width is None else [check.width]
    return list(found.values())


def scenarios(anytime: IntervalOf) -> tuple[Scenario, ...]:
    """All scenarios; `anytime` is the interval by which adaptive sweeps without a design decide."""
    plain, healing = World(), World(healing=0.3)
    width = AllocationGoal(until_width=0.5, max_trials=10_000)
    decided = AllocationGoal(until_decided=0.5, max_trials=10_000)
    low = AllocationGoal(until_decided=0.3, max_trials=10_000)
    crashing = World(censored=0.3, per_epoch=True)
    seen, unseen = World(diverging=0.3), World(diverging=0.3, unseen=True)
    lost = "trials are lost depending on their outcome: look at the bounds beside the rate"

    def looked(share: float) -> Callable[[int], Iterator[Check]]:
        return lambda number: _rates(plain.fixed(number, 10, share))

    def swept(world: World, goal: AllocationGoal) -> Callable[[int], Iterator[Check]]:
        certainty = Certainty(goal, anytime)
        return lambda number: _adaptive(world.adaptive(number, certainty, goal))

    return (
        Scenario("10 seeds, stopping, healing .3", lambda n: _fixed(healing.fixed(n, 10))),
        Scenario("10 seeds, healing .3, audit .2", lambda n: _ends(World(healing=0.3, audit=0.2).fixed(n, 10), 0.3)),
        Scenario("10 seeds, 30 % of unstable diverge after the onset", lambda n: _fixed(seen.fixed(n, 10))),
        Scenario(
            "10 seeds, 30 % of unstable lost without onset", lambda n: _fixed(unseen.fixed(n, 10)), exception=lost
        ),
        Scenario("10 seeds, crash in any epoch, .3", lambda n: _fixed(crashing.fixed(n, 10)), exception=lost),
        *(
            Scenario(f"10 seeds, 8 slots, seen after {100 * share:.0f} % of the time", looked(share))
            for share in (0.15, 0.4, 0.7)
        ),
        Scenario("5 seeds, then 5 more until .5 is excluded", lambda n: _rates(plain.continued(n, 5, 5, 40))),
        Scenario("until width .5, 8 slots, healing .3, audit .2", swept(World(healing=0.3, audit=0.2), width)),
        Scenario("until .5 is decided, 8 slots", swept(plain, decided)),
        Scenario("until .3 is decided, crash in any epoch, .3", swept(crashing, low), exception=lost),
        Scenario("until width .5, 30 % of unstable diverge after the onset", swept(seen, width)),
        Scenario("8 groups of 3 pinned trials, correlation .3", lambda n: _pinned(plain.pinned(n, 8, 3, 0.3))),
        Scenario("the same, groups added after each look", lambda n: _more_groups(plain.pinned(n, 8, 3, 0.3))),
        Scenario("two equal cells, 8 groups of 3, correlation .5", _equal_cells),
        Scenario("3 x 3 cells, 10 seeds, no interaction", _effects, share=0.2),
        Scenario("detector, 10 unstable and 30 stable trials", lambda n: _auc(n, [(10, 30)], 0.983)),
        Scenario("detector, four cells of 3 and 7", lambda n: _auc(n, [(3, 7)] * 4, 0.92)),
        *(Scenario(f"{n} healed seeds, .2 or 0", partial(_healed, n)) for n in (3, 5, 10)),
    )


def _rates(sweep: SimulatedSweep) -> Iterator[Check]:
    counted, kind = countable_trials(sweep.records, sweep.history)
    for cell in cell_rates(counted, "ever", LEVEL, kind, sweep.history.design):
        if cell.trials:
            truth = sweep.truths[cell.cell_id].rate
            yield Check(
                f"ever unstable, {kind}", truth in cell.interval, (cell.rate or 0.0) - truth, cell.interval.width
            )


def _fixed(sweep: SimulatedSweep) -> Iterator[Check]:
    yield from _rates(sweep)
    counted, kind = countable_trials(sweep.records, sweep.history)
    together = cell_rates(counted, "ever", 1 - (1 - LEVEL) / len(sweep.truths), kind)
    held = [sweep.truths[cell.cell_id].rate in cell.interval for cell in together]
    yield Check("all cells together", all(held))
    yield from _differences(sweep)
    yield from _onsets(sweep)


def _ends(sweep: SimulatedSweep, healing: float) -> Iterator[Check]:
    counted, _ = countable_trials(sweep.records, sweep.history)
    for cell in displayed_rates(counted, "any", LEVEL):
        truth = sweep.truths[cell.cell_id].rate * (1 - healing)
        error = None if cell.rate is None else cell.rate - truth
        yield Check("unstable at the end, corrected", truth in cell.interval, error, cell.interval.width)


def _adaptive(sweep: SimulatedSweep) -> Iterator[Check]:
    yield from _rates(sweep)
    yield from _onsets(sweep)
    yield from _differences(sweep)
    counted, _ = countable_trials(sweep.records, sweep.history)
    paths: dict[str, list[bool]] = {}
    for record in counted:
        if record.verdict and (record.verdict.onset or record.verdict.outcome != "censored"):
            paths.setdefault(record.cell_id, []).append(record.verdict.onset)
    for cell, path in paths.items():
        k = np.cumsum(path)
        truth = sweep.truths[cell].rate
        held = all(truth in confidence_sequence(int(k[n]), n + 1, LEVEL) for n in range(len(path)))
        yield Check("ever unstable, anytime, all looks of a cell", held)


def _differences(sweep: SimulatedSweep) -> Iterator[Check]:
    counted, kind = countable_trials(sweep.records, sweep.history)
    held = []
    for found in cell_differences(counted, "ever", LEVEL, kind, sweep.history.design):
        one, other = (sweep.truths[cell].rate for cell in found.cells)
        (k, n), (j, m) = found.counts
        covers = [low <= one - other <= high for low, high in (found.ends, found.together)]
        yield Check(
            f"difference of two cells, {found.basis}",
            covers[0],
            k / n - j / m - (one - other),
            found.ends[1] - found.ends[0],
        )
        held.append(covers[1])
    yield Check("all differences together", all(held))


def _onsets(sweep: SimulatedSweep) -> Iterator[Check]:
    for cell in onset_survival([record for record in sweep.records if record.attempts], LEVEL):
        truth = sweep.truths[cell.cell_id]
        for epoch in (EPOCHS // 4, EPOCHS // 2, EPOCHS):
            happened = truth.rate * fmean(onset <= epoch for onset in truth.onset_epochs)
            estimate, interval = cell.probability_by(epoch)
            error = None if estimate is None else estimate - happened
            yield Check("onset by an epoch", happened in interval, error, interval.width)


def _pinned(sweep: SimulatedSweep) -> Iterator[Check]:
    yield from _rates(sweep)
    yield from _differences(sweep)


def _more_groups(sweep: SimulatedSweep) -> Iterator[Check]:
    plans = (SweepPlan.of({}, None), SweepPlan.of({"cell0": 8}, None))
    held: dict[str, bool] = {}
    for groups in range(1, 9):
        records = [record for record in sweep.records if record.pins["init"] < groups]
        seen = with_plans(SimulatedSweep(records, sweep.history, sweep.truths), plans)
        counted, _ = countable_trials(seen.records, seen.history)
        kind: IntervalKind = "clustered-anytime"
        for cell in cell_rates(counted, "ever", LEVEL, kind):
            truth = sweep.truths[cell.cell_id].rate
            held[cell.cell_id] = held.get(cell.cell_id, True) and truth in cell.interval
    for covered in held.values():
        yield Check("ever unstable, clustered-anytime, all looks of a cell", covered)


def _equal_cells(number: int) -> Iterator[Check]:
    sweep = World(rates=(0.5, 0.5)).pinned(number, 8, 3, 0.5)
    (found,) = cell_differences(sweep.records, "ever", LEVEL, "clustered")
    yield Check("equal cells are not said to differ", not found.differ)
    (effect, *_) = factor_effects(sweep.records, "ever", LEVEL).effects or (None,)
    if effect is not None:
        yield Check("odds ratio, groups", effect.low <= 1 <= effect.high)


def _effects(number: int) -> Iterator[Check]:
    rng = np.random.default_rng(number)
    blank = World(rates=(0.5,)).fixed(0, 1).records[0]
    slopes, records = (-1.0, 0.6), []
    for one in range(3):
        for other in range(3):
            rate = 1 / (1 + np.exp(-(0.4 + slopes[0] * (one - 1) + slopes[1] * (other - 1))))
            for seed in range(10):
                unstable = bool(rng.random() < rate)
                assert blank.verdict is not None
                update = {"outcome": "unstable" if unstable else "stable", "onset": unstable}
                verdict = blank.verdict.model_copy(update=update)
                cell = {"beta": 2.0**one, "lr": 2.0**other}
                changed = {"cell_id": f"{one}{other}", "cell": cell, "seed": seed, "verdict": verdict}
                records.append(blank.model_copy(update=changed))
    found = factor_effects(records, "ever", LEVEL)
    for effect in found.effects:
        truth = slopes[effect.factor == "lr"]
        yield Check("odds ratio", effect.low <= np.exp(truth) <= effect.high, float(np.log(effect.odds_ratio)) - truth)
    for interaction in found.interactions:
        yield Check("no interaction is found where there is none", interaction.adjusted > 1 - LEVEL)


def _auc(number: int, sizes: list[tuple[int, int]], truth: float) -> Iterator[Check]:
    from scipy.stats import norm

    rng, shift = np.random.default_rng(number), norm.ppf(truth) * np.sqrt(2)
    auc, interval = auc_within([(rng.normal(shift, 1, n), rng.normal(0, 1, m)) for n, m in sizes], LEVEL)
    yield Check(f"AUC within cells, true {truth}", truth in interval, auc - truth, interval.width)


def _healed(seeds: int, number: int) -> Iterator[Check]:
    for share in (0.5, 0.8, 0.95):
        values, truth = 0.2 * (np.random.default_rng((number, seeds)).random(seeds) < share), 0.2 * share
        low, high = bounded_mean_ends(values.tolist(), -1, 1, LEVEL)
        yield Check("mean difference per seed", low <= truth <= high, float(values.mean()) - truth, high - low)
