"""How rates depend on the threshold of a label: the distribution of the gap, and of the largest FOSC, in each cell.

The share of trials with at least some value, over all values, is what Agarwal et al. (2021, *Deep reinforcement
learning at the edge of the statistical precipice*) call a performance profile. At the protocol's threshold it is the
rate of a label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any, Literal

import numpy as np
from scipy.stats import norm

from analysis.questions.rates import group_by_cell, varying_factors
from analysis.questions.replay import lasting
from analysis.statistics.intervals import Interval, interval
from core.records import Evidence, TrialRecord
from core.verdict import FoscDetector

RESAMPLES = 500
ROUNDING = 1e-9
"""0.30 - 0.22 is slightly below 0.08 in binary floating point."""


@dataclass(frozen=True)
class CellValues:
    """The values of the trials of one cell, ascending."""

    cell_id: str
    factors: dict[str, Any]
    values: np.ndarray

    def share(self, threshold: float) -> float:
        """Share of the trials with at least this value."""
        return self.count(threshold) / len(self.values)

    def count(self, threshold: float) -> int:
        """Number of trials with at least this value."""
        return int((self.values >= threshold - ROUNDING).sum())


@dataclass(frozen=True)
class Profile:
    """The mean over cells of the share of trials with at least some value, and its pointwise band."""

    thresholds: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class ImageError:
    """The rate of a cell whose label was measured on a sample of the images that it is meant for.

    All trials are attacked on the same images. If these are easier for one attack than others would be, the gaps of
    all trials are wrong together, and more trials do not help.
    """

    cell_id: str
    images: int
    shift: float
    """Largest common error of the gap, with half of the interval's error."""
    rates: tuple[float, float]
    """The rate if all gaps are smaller, and larger, by `shift`."""
    interval: Interval
    """Interval for the rate on all such images; it allows for the trials and for the images."""


def gaps(records: Sequence[TrialRecord]) -> list[CellValues]:
    """PGD minus Square accuracy of each trial: the larger one of its selected and its last checkpoint."""
    return _by_cell(records, lambda record: max(map(_gap, _judged(record)), default=None))


def fosc_peaks(records: Sequence[TrialRecord]) -> list[CellValues]:
    """The largest FOSC for which each trial had an onset, with the patience and grace of the protocol."""
    return _by_cell(records, _fosc_peak)


def profile(cells: Sequence[CellValues], thresholds: np.ndarray, level: float = 0.95, seed: int = 0) -> Profile:
    """The mean over cells, with a stratified bootstrap: trials are drawn again within each cell, as rliable does.

    Bootstrap bands cover less than their level with few trials per cell, and where all trials of all cells agree.
    """
    rng = np.random.default_rng(seed)
    drawn = np.zeros((RESAMPLES, len(thresholds)))
    mean = np.zeros(len(thresholds))
    for cell in cells:
        below = np.searchsorted(cell.values, thresholds - ROUNDING)
        mean += 1 - below / len(cell.values)
        # the number of drawn trials below each threshold, from how often each trial is drawn
        times = rng.multinomial(len(cell.values), np.full(len(cell.values), 1 / len(cell.values)), RESAMPLES)
        cumulative = np.concatenate([np.zeros((RESAMPLES, 1)), times.cumsum(axis=1)], axis=1)
        drawn += 1 - cumulative[:, below] / len(cell.values)
    low, high = np.quantile(drawn / len(cells), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Profile(thresholds, mean / len(cells), low, high)


def image_errors(
    records: Sequence[TrialRecord], level: float = 0.95, kind: Literal["blaker", "anytime"] = "blaker"
) -> list[ImageError]:
    """For each cell, what the rate of the gap's label owes to the test images.

    The standard error of a gap at the threshold t is at most sqrt(t (1 - t) / n) for n images of which no image is
    broken by PGD only. Errors of the trials are taken to be equal, the worst case. Half of the interval's error is for
    the images, half for the trials. The kind ``anytime`` holds where the numbers of trials depended on results.
    """
    found, half = [], (1 + level) / 2
    images = {record.cell_id: evidence.measurement("square").images for record, evidence in _evidence(records)}
    threshold = {record.cell_id: record.protocol["overestimation_gap"] for record in records}
    for cell in gaps(records):
        t, n = threshold[cell.cell_id], images[cell.cell_id]
        shift, trials = float(norm.ppf((1 + half) / 2)) * sqrt(t * (1 - t) / n), len(cell.values)
        low = interval(kind, cell.count(t + shift), trials, half).low
        high = interval(kind, cell.count(t - shift), trials, half).high
        rates = cell.share(t + shift), cell.share(t - shift)
        found.append(ImageError(cell.cell_id, n, shift, rates, Interval(low, high, level, kind)))
    return found


def _by_cell(records: Sequence[TrialRecord], value: Callable[[TrialRecord], float | None]) -> list[CellValues]:
    names = varying_factors(records)
    cells = []
    for cell_id, members in group_by_cell(records).items():
        known = [found for record in members if (found := value(record)) is not None]
        if known:
            factors = {name: members[0].cell.get(name) for name in names}
            cells.append(CellValues(cell_id, factors, np.sort(np.array(known))))
    return cells


def _judged(record: TrialRecord) -> list[Evidence]:
    verdict = record.verdict
    if verdict is None or verdict.outcome == "censored":
        return []
    return [evidence for evidence in verdict.evidence if evidence.checkpoint in ("selected", "last")]


def _evidence(records: Sequence[TrialRecord]) -> list[tuple[TrialRecord, Evidence]]:
    return [(record, evidence) for record in records for evidence in _judged(record)]


def _gap(evidence: Evidence) -> float:
    return evidence.accuracy("pgd-10") - evidence.accuracy("square")


def _fosc_peak(record: TrialRecord) -> float | None:
    patience, grace = record.protocol["fosc_patience"], record.protocol["fosc_grace"]
    if record.verdict is None or record.verdict.outcome == "censored" or not record.trace.measured("val/fosc"):
        return None
    epochs = record.trace.column("epoch")
    (scores,) = FoscDetector(threshold=0).scores(record.trace.column("val/fosc")[None])
    scores = np.where(epochs > grace, scores, -inf)
    return float(lasting(epochs, scores, patience)[1].max(initial=-inf))
