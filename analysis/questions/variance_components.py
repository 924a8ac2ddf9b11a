"""The share of an outcome's variance that initialisation, data order, augmentation or attack noise decide.

The design: some random streams (such as `init`) are pinned to at least two different seeds, with at least two trials
for each pinned seed whose other streams vary. Trials that share the pinned seed agree as far as the pinned streams
decide the outcome. The share of these streams is the intraclass correlation of a one-way random-effects layout. The
rest of the variance belongs to the free streams, interactions included; pinning all streams but one therefore measures
the total share of that one.

With few groups the interval is wide: one digit of a share needs about ten pinned seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import f as f_distribution

from analysis.questions.rates import group_by_cell, has_label, naming_factors, selected_accuracy
from analysis.statistics.intervals import Interval
from analysis.statistics.intraclass_correlation import binary_share_ends
from core.config import STREAMS
from core.records import TrialRecord

OutcomeName = Literal["unstable", "onset_epoch", "gap"]


@dataclass(frozen=True)
class VarianceShare:
    """The share of an outcome's variance within one cell that the pinned streams decide."""

    cell_id: str
    factors: dict[str, Any]
    question: str
    pinned: tuple[str, ...]
    free: tuple[str, ...]
    groups: int
    trials: int
    share: float | None
    """Share in [0, 1]; None if the outcome does not vary."""
    interval: Interval
    p_value: float
    """P-value of a permutation test that the pinned seeds make no difference."""


def variance_shares(
    records: Sequence[TrialRecord], outcome: OutcomeName = "unstable", level: float = 0.95, seed: int = 0
) -> list[VarianceShare]:
    """One share for each cell and set of pinned streams with at least two groups, one of them with two trials.

    Args:
        records: trials of one sweep.
        outcome: ``unstable``; ``onset_epoch``, of trials with an onset; or ``gap``, PGD minus Square accuracy of trials
            with both.
        level: coverage of the intervals.
        seed: seed of the permutation tests.

    Raises:
        ValueError: `outcome` is unknown.
    """
    if outcome not in VALUES:
        raise ValueError(f"outcome {outcome!r} must be one of {', '.join(VALUES)}")
    names = naming_factors(records)
    shares = []
    for cell_id, members in group_by_cell(records).items():
        layouts: dict[tuple[str, ...], dict[tuple[int, ...], list[float]]] = {}
        for record in members:
            value = VALUES[outcome](record)
            if value is not None and record.pins:
                pinned: tuple[str, ...] = tuple(stream for stream in STREAMS if stream in record.pins)
                seeds = tuple(record.pins[stream] for stream in pinned)
                layouts.setdefault(pinned, {}).setdefault(seeds, []).append(value)
        for pinned, layout in sorted(layouts.items()):
            groups = [np.array(values) for values in layout.values()]
            if len(groups) < 2 or all(len(group) < 2 for group in groups):
                continue
            share, found = intraclass_share(groups, level)
            shares.append(
                VarianceShare(
                    cell_id=cell_id,
                    factors={name: members[0].cell.get(name) for name in names},
                    question=f"How much of the variance of {outcome} do the seeds of {', '.join(pinned)} decide?",
                    pinned=pinned,
                    free=tuple(stream for stream in STREAMS if stream not in pinned),
                    groups=len(groups),
                    trials=sum(map(len, groups)),
                    share=share,
                    interval=found,
                    p_value=permutation_test(groups, np.random.default_rng(seed)),
                )
            )
    return shares


def intraclass_share(groups: Sequence[np.ndarray], level: float = 0.95) -> tuple[float | None, Interval]:
    """Variance between groups divided by the whole variance, from the analysis of variance, clipped to [0, 1].

    For numbers the interval inverts the F statistic (Searle 1971; unequal groups enter with their effective size); it
    is exact for normal outcomes in equal groups. For yes/no outcomes it comes from a beta-binomial model, see
    `analysis.statistics.intraclass_correlation`.
    """
    between, within, size = _mean_squares(groups)
    if between == within == 0:
        return None, Interval(0.0, 1.0, level, "f-ratio")
    ratio = between / within if within else np.inf
    if all(value in (0, 1) for group in groups for value in group):
        low, high = binary_share_ends(tuple(map(len, groups)), [int(group.sum()) for group in groups], level)
        return _share(ratio, size), Interval(low, high, level, "beta-binomial")
    df = len(groups) - 1, sum(map(len, groups)) - len(groups)
    tail = (1 - level) / 2
    low, high = (_share(ratio / f_distribution.ppf(q, *df), size) for q in (1 - tail, tail))
    return _share(ratio, size), Interval(low, high, level, "f-ratio")


def permutation_test(groups: Sequence[np.ndarray], rng: np.random.Generator, permutations: int = 2000) -> float:
    """P-value of the hypothesis that groups are random: share of permutations whose groups differ at least as much."""
    values = np.concatenate(groups)
    starts = np.cumsum([0, *map(len, groups)])[:-1]
    sizes = np.array([len(group) for group in groups])

    def spread(dealt: np.ndarray) -> np.ndarray:
        return (np.add.reduceat(dealt, starts, axis=-1) ** 2 / sizes).sum(axis=-1)

    dealt = rng.permuted(np.tile(values, (permutations, 1)), axis=1)
    as_much = (spread(dealt) >= spread(values) * (1 - 1e-12)).sum()
    return float((as_much + 1) / (permutations + 1))


def _mean_squares(groups: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """Mean squares between and within groups, and the effective group size of an unbalanced layout."""
    sizes = np.array([len(group) for group in groups], float)
    total, means = sizes.sum(), np.array([group.mean() for group in groups])
    grand = (sizes * means).sum() / total
    between = (sizes * (means - grand) ** 2).sum() / (len(groups) - 1)
    within = sum(((group - group.mean()) ** 2).sum() for group in groups) / (total - len(groups))
    return float(between), float(within), float((total - (sizes**2).sum() / total) / (len(groups) - 1))


def _share(ratio: float, size: float) -> float:
    return 1.0 if np.isinf(ratio) else float(np.clip((ratio - 1) / (ratio + size - 1), 0, 1))


def _unstable(record: TrialRecord) -> float | None:
    label = has_label(record, "any")
    return None if label is None else float(label)


def _onset_epoch(record: TrialRecord) -> float | None:
    if record.verdict is None or record.verdict.onset_epoch is None:
        return None
    return float(record.verdict.onset_epoch)


def _gap(record: TrialRecord) -> float | None:
    pgd, square = selected_accuracy(record, "pgd-10"), selected_accuracy(record, "square")
    return None if pgd is None or square is None else pgd - square


VALUES: dict[OutcomeName, Callable[[TrialRecord], float | None]] = {
    "unstable": _unstable,
    "onset_epoch": _onset_epoch,
    "gap": _gap,
}
