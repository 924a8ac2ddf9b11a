"""Records of simulated sweeps whose true rates are known, for judging what is printed about them."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.allocation import (
    AllocationGoal,
    Certainty,
    SeedHistory,
    StoppingPolicy,
    SweepPlan,
    SyntheticTrials,
    simulate,
)
from core.allocation.audit import is_audited
from core.allocation.truth import CellTruth, SimulatedTrial
from core.records import TrialRecord, Verdict

RATES = (0.03, 0.17, 0.29, 0.44, 0.58, 0.71, 0.86, 0.97)
EPOCHS = 100
SLOTS = 8
DELAY = 2
"""Epochs from an onset to the stop."""


@dataclass(frozen=True)
class SimulatedSweep:
    """The records of a sweep as a report would read them.

    Attributes:
        records: finished trials, running ones, and the first waiting trial of each cell.
        history: how the sweep's seeds were chosen.
        truths: the truth of each cell by its id.
    """

    records: list[TrialRecord]
    history: SeedHistory
    truths: dict[str, CellTruth]


@dataclass(frozen=True)
class World:
    """What is true of the cells, and how trials are run.

    Onsets are early in the first third of the cells, late in the second, and both in the last third.
    """

    healing: float = 0.0
    censored: float = 0.0
    per_epoch: bool = False
    diverging: float = 0.0
    unseen: bool = False
    """Whether diverging trials are lost before the detector sees their onset."""
    audit: float = 0.0
    rates: tuple[float, ...] = RATES

    @property
    def truths(self) -> tuple[CellTruth, ...]:
        """The truth of each cell."""
        onsets = (tuple(range(5, 26)), tuple(range(60, 96)), (*range(5, 26), *range(60, 96)))
        return tuple(
            CellTruth(
                rate=rate,
                epochs=EPOCHS,
                onset_epochs=onsets[index % 3],
                healing=self.healing,
                censored=self.censored,
                censored_per="epoch" if self.per_epoch else "trial",
                diverging=self.diverging,
                speed_spread=0.5,
            )
            for index, rate in enumerate(self.rates)
        )

    def fixed(self, number: int, seeds: int, look: float = 1.0) -> SimulatedSweep:
        """A sweep with a number of seeds per cell, seen when this share of its time has passed."""
        trials = SyntheticTrials(self.truths, number)
        cells = range(len(self.rates))
        order = [(cell, seed) for seed in range(seeds) for cell in cells]
        spans, busy = [], [0.0] * SLOTS
        for cell, seed in order:
            trial = self._run(trials, cell, seed)
            start = heapq.heappop(busy)
            end = start + trials.seconds(trial, seed)
            heapq.heappush(busy, end)
            spans.append((start, end, trial))
        now = look * max(busy)
        records = [_record(trial, self) for _, end, trial in spans if end <= now]
        records += [_open(trial, self, 1) for start, end, trial in spans if start <= now < end]
        waiting = {trial.cell: trial for start, _, trial in reversed(spans) if start > now}
        records += [_open(trial, self, 0) for trial in waiting.values()]
        plan = SweepPlan.of({_name(cell): seeds for cell in cells}, None)
        return SimulatedSweep(records, SeedHistory(0, (plan,)), self._by_id())

    def continued(self, number: int, seeds: int, more: int, most: int) -> SimulatedSweep:
        """A fixed sweep that is given more seeds in a cell until its rate is not 0.5 by Blaker's interval."""
        from analysis.statistics.intervals import interval

        trials, kept = SyntheticTrials(self.truths, number), []
        for cell in range(len(self.rates)):
            ended = [self._run(trials, cell, seed) for seed in range(most)]
            n = seeds
            while n < most and 0.5 in interval("blaker", sum(t.onset is not None for t in ended[:n]), n):
                n += more
            kept += ended[:n]
        plans = (SweepPlan.of({}, None), SweepPlan.of({_name(0): most}, None))
        return SimulatedSweep([_record(trial, self) for trial in kept], SeedHistory(0, plans), self._by_id())

    def adaptive(self, number: int, certainty: Certainty, goal: AllocationGoal) -> SimulatedSweep:
        """A sweep that adds seeds until its goal, with eight trials at a time."""
        world = SyntheticTrials(self.truths, number)
        policy = StoppingPolicy(audit=self.audit, confirm_delay=DELAY)
        found = simulate(world, certainty, policy, concurrency=SLOTS, sweep=str(number))
        records = [replace_allocation(_record(trial, self)) for trial in found.trials]
        return SimulatedSweep(records, SeedHistory(0, (SweepPlan.of({}, goal),)), self._by_id())

    def pinned(self, number: int, groups: int, size: int, alike: float) -> SimulatedSweep:
        """A sweep with groups of trials of this size, whose rates have this intraclass correlation."""
        rng, records = np.random.default_rng(number), []
        for cell, rate in enumerate(self.rates):
            strength = 1 / alike - 1
            for group, luck in enumerate(rng.beta(rate * strength, (1 - rate) * strength, groups)):
                for seed in range(group * 1000, group * 1000 + size):
                    unstable = bool(rng.random() < luck)
                    trial = SimulatedTrial(
                        *(cell, seed, "unstable" if unstable else "stable", 10 if unstable else None),
                        *(EPOCHS, False, False, None),
                    )
                    record = _record(trial, self)
                    records.append(record.model_copy(update={"pins": {"init": group}}))
        plan = SweepPlan.of({}, None)
        return SimulatedSweep(records, SeedHistory(0, (plan,)), self._by_id())

    def _run(self, trials: SyntheticTrials, cell: int, seed: int) -> SimulatedTrial:
        audited = self.audit > 0 and is_audited("simulated", str(cell), seed, self.audit)
        return trials.run(cell, seed, seed, audited=audited, stop=True, confirm_delay=DELAY)

    def _by_id(self) -> dict[str, CellTruth]:
        return {_name(cell): truth for cell, truth in enumerate(self.truths)}


def replace_allocation(record: TrialRecord) -> TrialRecord:
    """The record as one of an adaptive sweep."""
    return record.model_copy(update={"allocation": "adaptive"})


def with_plans(sweep: SimulatedSweep, plans: Sequence[SweepPlan]) -> SimulatedSweep:
    """The sweep with another history of plans."""
    return replace(sweep, history=SeedHistory(0, plans))


def _name(cell: int) -> str:
    return f"cell{cell}"


def _record(trial: SimulatedTrial, world: World) -> TrialRecord:
    ended = trial.outcome != "censored"
    known = trial.onset is not None and trial.onset <= trial.epochs and (ended or not world.unseen)
    seen = trial.onset if known else None
    verdict = Verdict(
        outcome=trial.outcome,
        onset=seen is not None,
        overestimation=trial.outcome == "unstable" if ended else None,
        catastrophic=False if ended else None,
        onset_epoch=seen,
        onset_epochs=() if seen is None else (seen,),
        confirmed_epoch=trial.confirmed,
        censor_reason=None if ended else "crashed: simulated",
    )
    return _open(trial, world, 1).model_copy(
        update={
            "status": "finished",
            "verdict": verdict,
            "epochs_run": trial.epochs,
            "stopped_early": trial.stopped,
        }
    )


def _open(trial: SimulatedTrial, world: World, attempts: int) -> TrialRecord:
    return TrialRecord(
        sweep="simulated",
        cell_id=_name(trial.cell),
        cell={"beta": float(2**trial.cell), "heal": "none"},
        seed=trial.seed,
        audit=trial.audited,
        protocol={"stop": True, "fosc_patience": 1, "fosc_grace": 0},
        status="running",
        epochs_planned=EPOCHS,
        epochs_run=0,
        attempts=attempts,
    )
