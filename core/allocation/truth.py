"""Synthetic trials that are drawn from known true rates."""

from __future__ import annotations

from math import exp
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from core.config.base import Options

_BLOCK = 32
_DRAWS_PER_TRIAL = 5


class CellTruth(Options):
    """Ground truth of one cell's trials. Epochs are 1-based."""

    rate: float = Field(ge=0, le=1, description="probability that a trial that is never stopped is ever unstable")
    epochs: int = Field(ge=1, description="planned epochs")
    onset_epochs: tuple[int, ...] = Field(description="equally likely onset epochs of unstable trials")
    healing: float = Field(0.0, ge=0, le=1, description="probability that an unstable trial has healed by its end")
    seconds_per_epoch: float = Field(1.0, gt=0, description="device-seconds of an epoch, including evaluation")
    censored: float = Field(0.0, ge=0, le=1, description="probability of a crash (see `censored_per`)")
    censored_per: Literal["trial", "epoch"] = Field(
        "trial",
        description="trial: a crash is independent of the outcome; epoch: a crash is equally likely at each planned "
        "epoch, and a trial that stops before this epoch does not crash",
    )

    diverging: float = Field(
        0.0, ge=0, le=1, description="probability that an unstable trial crashes one epoch after its onset"
    )
    speed_spread: float = Field(
        0.0, ge=0, description="standard deviation of the logarithm of the trials' seconds per epoch"
    )

    @model_validator(mode="after")
    def _onsets_in_range(self) -> CellTruth:
        if self.rate > 0 and not self.onset_epochs:
            raise ValueError(f"rate {self.rate} needs onset_epochs")
        if any(not 1 <= onset <= self.epochs for onset in self.onset_epochs):
            raise ValueError(f"onset_epochs {self.onset_epochs} must be between 1 and epochs {self.epochs}")
        return self


class SimulatedTrial(NamedTuple):
    """The end of a simulated trial. `onset` is its true onset, even if the trial was censored before that epoch.

    `confirmed` is the epoch at which the alarm was confirmed, whether or not the trial was stopped then; None if the
    trial ended earlier or has no onset.
    """

    cell: int
    seed: int
    outcome: Literal["stable", "unstable", "healed", "censored"]
    onset: int | None
    epochs: int
    audited: bool
    stopped: bool
    confirmed: int | None

    @property
    def ever_unstable(self) -> bool | None:
        """True if an onset of the trial was seen; None if it was censored before any."""
        seen = self.onset is not None and self.onset <= self.epochs
        return None if self.outcome == "censored" and not seen else seen


class SyntheticTrials:
    """Independent synthetic trials of every cell. A trial does not depend on the order in which trials are run."""

    def __init__(self, truths: tuple[CellTruth, ...], seed: int) -> None:
        self.truths, self._seed = truths, seed
        self._streams = [np.random.default_rng((seed, cell)) for cell in range(len(truths))]
        self._draws: list[list[list[float]]] = [[] for _ in truths]

    def onset(self, cell: int, index: int) -> int | None:
        """Onset epoch of a cell's trial with this index; None if the trial is stable."""
        truth = self.truths[cell]
        unstable, onset, *_ = self._trial_draws(cell, index)
        return truth.onset_epochs[int(onset * len(truth.onset_epochs))] if unstable < truth.rate else None

    def run(self, cell: int, seed: int, index: int, *, audited: bool, stop: bool, confirm_delay: int) -> SimulatedTrial:
        """Simulate a cell's trial with this index.

        With `stop`, a trial that is not audited is stopped `confirm_delay` epochs after its onset.
        """
        truth = self.truths[cell]
        *_, healing, crash, crash_time = self._trial_draws(cell, index)
        onset = self.onset(cell, index)
        if onset is not None and truth.diverging and self._further(cell, index)[0] < truth.diverging:
            end = min(onset + 1, truth.epochs)
            return SimulatedTrial(cell, seed, "censored", onset, end, audited, False, None)
        stops = onset is not None and stop and not audited and onset + confirm_delay < truth.epochs
        epochs = onset + confirm_delay if onset is not None and stops else truth.epochs
        confirmed = None if onset is None else onset + confirm_delay
        if crash < truth.censored:
            span = epochs if truth.censored_per == "trial" else truth.epochs
            crash_epoch = 1 + int(crash_time * span)
            if crash_epoch <= epochs:
                seen = confirmed if confirmed is not None and confirmed <= crash_epoch else None
                return SimulatedTrial(cell, seed, "censored", onset, crash_epoch, audited, False, seen)
        if onset is None:
            return SimulatedTrial(cell, seed, "stable", None, epochs, audited, False, None)
        outcome: Literal["healed", "unstable"] = "healed" if not stops and healing < truth.healing else "unstable"
        seen = confirmed if confirmed is not None and confirmed <= epochs else None
        return SimulatedTrial(cell, seed, outcome, onset, epochs, audited, stops, seen)

    def seconds(self, trial: SimulatedTrial, index: int) -> float:
        """Device-seconds of a trial with this index."""
        truth = self.truths[trial.cell]
        pace = exp(truth.speed_spread * self._further(trial.cell, index)[1]) if truth.speed_spread else 1.0
        return trial.epochs * truth.seconds_per_epoch * pace

    def _further(self, cell: int, index: int) -> tuple[float, float]:
        """A uniform and a normal number, apart from the other draws: trials without these options stay the same."""
        rng = np.random.default_rng((self._seed, cell, index))
        return float(rng.random()), float(rng.standard_normal())

    def _trial_draws(self, cell: int, index: int) -> list[float]:
        draws = self._draws[cell]
        while len(draws) <= index:
            draws.extend(self._streams[cell].random((_BLOCK, _DRAWS_PER_TRIAL)).tolist())
        return draws[index]
