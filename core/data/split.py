"""Stratified, deterministic splits. torch is not imported, because the driver checks splits without it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

SPLIT_SEED = 0


def stratified_split(labels: Integers, held_out: int) -> tuple[Integers, Integers]:
    """Indices (kept, held out), disjoint, covering ``labels`` (int64 [N]); the same at every call.

    Exactly ``held_out`` images are held out. Classes are represented in proportion to their size, rounded by largest
    remainder, so counts of equally large classes differ by at most 1. Fewer images than classes are allowed: some
    classes are then not held out at all. Kept indices are ascending. Held-out indices are interleaved over the
    classes, so that a prefix of them is stratified too.

    Raises:
        ValueError: a class would be left without a training image.
    """
    counts = np.bincount(labels)
    # RandomState's stream is frozen (NEP 19): a split must not change with the installed numpy.
    random = np.random.RandomState(SPLIT_SEED)
    quotas = _largest_remainder(counts, held_out, random)
    emptied = np.flatnonzero((counts > 0) & (quotas >= counts))
    if len(emptied):
        raise ValueError(
            f"validation_images {held_out} leaves no training image of class {emptied[0]}"
            f" ({len(emptied)} such classes); the training set has {len(labels)} images of {(counts > 0).sum()} classes"
        )
    shuffled = random.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    starts = np.cumsum(counts) - counts
    chosen = [by_class[start : start + quota] for start, quota in zip(starts, quotas, strict=True)]
    turns = np.concatenate([(np.arange(len(c)) + random.random_sample()) / max(len(c), 1) for c in chosen])
    taken = np.concatenate(chosen)[np.argsort(turns, kind="stable")]
    kept = np.ones(len(labels), dtype=bool)
    kept[taken] = False
    return np.flatnonzero(kept), taken


def _largest_remainder(counts: Integers, total: int, random: np.random.RandomState) -> Integers:
    """Apportion ``total`` to the classes in proportion to ``counts``, in exact integers; ties are broken at random."""
    quotas, remainders = np.divmod(counts * total, counts.sum())
    ties = random.permutation(len(counts))
    largest = np.lexsort((ties, -remainders))
    quotas[largest[: total - quotas.sum()]] += 1
    return quotas
