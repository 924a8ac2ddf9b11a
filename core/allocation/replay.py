"""From stored records back to an allocator's state, and to counts that an interval may be put around."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from core.allocation.allocator import SeedAllocator
from core.records import TrialRecord


def ever_unstable(record: TrialRecord) -> bool | None:
    """Was the finished trial ever unstable? None if censored.

    The allocator counts this, not the end-of-training outcome: it means the same in a trial that was stopped and in
    one of the audit arm, which may have healed since.
    """
    verdict = record.verdict
    if verdict is None or verdict.outcome == "censored":
        return None
    return verdict.onset or verdict.outcome == "unstable"


def replay(allocator: SeedAllocator, records: Iterable[TrialRecord], cells: Mapping[str, int]) -> None:
    """Tell the allocator all finished trials, in any order. `cells` maps cell id to index; other cells are skipped."""
    for record in records:
        if record.status == "finished" and record.cell_id in cells:
            allocator.observe(cells[record.cell_id], record.seed, ever_unstable(record), record.device_seconds)


def in_seed_order(records: Iterable[TrialRecord], first_seed: int) -> list[TrialRecord]:
    """Of each cell, the finished trials up to its first seed without a result, sorted by cell and seed.

    While a sweep runs, stopped unstable trials are known before the stable ones that started with them. These are the
    trials whose rate doesn't lean towards unstable for that; of a sweep that has ended they are all.
    """
    finished = {(r.cell_id, r.seed): r for r in records if r.status == "finished"}
    first_open = {
        cell: next(seed for seed in itertools.count(first_seed) if (cell, seed) not in finished)
        for cell in {cell for cell, _ in finished}
    }
    return [record for (cell, seed), record in sorted(finished.items()) if seed < first_open[cell]]
