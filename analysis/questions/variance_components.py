"""How much of the luck is initialisation, data order, augmentation or attack noise?

A design for one question: pin some streams (say `init`) to at least two different seeds, with at least two trials per
pinned seed whose other streams vary. Trials that share the pinned seed then agree as far as those streams decide the
outcome. Their share of the variance is the intraclass correlation of a one-way random-effects layout; the rest of the
variance is what the free streams do, interactions included: pinning all but one stream asks for that one's total share.

With few groups the interval is wide: about ten pinned seeds are needed before a share can be said to one digit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import f as f_distribution

from analysis.questions.rates import group_by_cell, has_label, selected_accuracy, varying_factors
from analysis.statistics.intervals import Interval
from analysis.statistics.intraclass_correlation import binary_share_ends
from core.config import STREAMS
from core.records import TrialRecord

OutcomeName = Literal["unstable", "onset_epoch", "gap"]


@dataclass(frozen=True)
class VarianceShare:
    """Share of an outcome's variance within one cell that the pinned streams decide."""

    cell_id: str
    factors: dict[str, Any]
    question: str
    pinned: tuple[str, ...]
    free: tuple[str, ...]
    groups: int
    trials: int
    share: float | None
    """In [0, 1]; None where the outcome does not vary."""
    interval: Interval
    p_value: float
    """Permutation test that pinned seeds make no difference."""


def variance_shares(
    records: Sequence[TrialRecord], outcome: OutcomeName = "unstable", level: float = 0.95, seed: int = 0
) -> list[VarianceShare]:
    """One share per cell and set of pinned streams with a usable design; an empty list means that there is none.

    `onset_epoch` looks at trials with an onset only, `gap` at those with a PGD-10 and a Square accuracy.

    Raises:
        ValueError: `outcome` is unknown.
    """
    if outcome not in VALUES:
        raise ValueError(f"outcome {outcome!r} must be one of {', '.join(VALUES)}")
    names = varying_factors(records)
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
    """Variance between groups over the whole, by analysis of variance, cut to [0, 1].

    For numbers the interval inverts the F statistic (Searle 1971; unequal groups count with their effective size):
    exact for normal outcomes in equal groups. For yes/no outcomes a beta-binomial model takes the place of F.
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
    """P-value that trials could be dealt to the groups at random: share of deals whose groups differ as much."""
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
