"""Reconstruction of an allocator's state from stored records, and of counts for which intervals are valid."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from core.allocation.allocator import SeedAllocator
from core.allocation.sequential_design import SequentialDesign
from core.records import TrialRecord


def ever_unstable(record: TrialRecord) -> bool | None:
    """True if the trial was ever unstable; None if it has not finished, or was censored without an onset.

    The allocator counts this property and not the outcome at the end of training, because it has the same meaning for
    a stopped trial and for a trial of the audit arm, which may have healed after its onset.
    """
    verdict = record.verdict
    if verdict is None:
        return None
    if verdict.outcome == "censored" and not verdict.onset:
        return None
    return verdict.onset or verdict.outcome == "unstable"


def replay(allocator: SeedAllocator, records: Iterable[TrialRecord], cells: Mapping[str, int]) -> None:
    """Pass all finished trials to the allocator, in any order.

    Args:
        allocator: receives the results.
        records: records of any trials.
        cells: index of each cell by its id; records of other cells are skipped.
    """
    for record in records:
        if record.status == "finished" and record.cell_id in cells:
            allocator.observe(cells[record.cell_id], record.seed, ever_unstable(record), record.device_seconds)


def in_seed_order(records: Iterable[TrialRecord], first_seed: int) -> list[TrialRecord]:
    """The finished trials of each cell before its first seed without a result, sorted by cell and seed.

    While a sweep runs, a stopped unstable trial is known earlier than a stable one that started at the same time. The
    rate over all known trials is then too high. The trials returned here are a prefix of independent draws, for which
    anytime intervals hold. Their rate still leans a little towards unstable while the sweep runs, because the length of
    the prefix depends on the outcomes. If a sweep has ended, all its trials are returned.
    """
    finished = {(r.cell_id, r.seed): r for r in records if r.status == "finished"}
    first_open = {
        cell: next(seed for seed in itertools.count(first_seed) if (cell, seed) not in finished)
        for cell in {cell for cell, _ in finished}
    }
    return [record for (cell, seed), record in sorted(finished.items()) if seed < first_open[cell]]


def until_end(records: Iterable[TrialRecord], design: SequentialDesign) -> list[TrialRecord]:
    """The trials of each cell up to the one with which the cell's sequential design ends; all, if it goes on.

    Args:
        records: finished trials, those of a cell in the order of their seeds without a gap.
        design: the design by which cells end.
    """
    kept: list[TrialRecord] = []
    counts: dict[str, tuple[int, int]] = {}
    ended: set[str] = set()
    for record in records:
        if record.cell_id in ended:
            continue
        kept.append(record)
        outcome = ever_unstable(record)
        if outcome is None:
            continue
        unstable, finished = counts.get(record.cell_id, (0, 0))
        counts[record.cell_id] = unstable + outcome, finished + 1
        if design.reached(*counts[record.cell_id]):
            ended.add(record.cell_id)
    return kept
