"""Which trials of a sweep may be counted, and with which interval: it depends on how its seeds were chosen."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.intervals import IntervalKind
from core.allocation.replay import in_seed_order
from core.records import TrialRecord

FIXED = "the number of seeds was fixed in advance"
ADAPTIVE = "this sweep looked at its results before it chose the next seed"


def countable(records: Sequence[TrialRecord], first_seed: int | None = None) -> tuple[list[TrialRecord], IntervalKind]:
    """Trials whose rate doesn't lean, and the kind of interval that holds for them.

    Unstable trials that were stopped are known before stable ones that started with them: while a sweep runs, a trial
    counts only if no trial of its cell with a smaller seed is still without a result. With a fixed number of seeds
    Wilson's interval holds. An adaptive sweep looked at its results before it chose the next seed, which takes an
    anytime interval.

    Args:
        records: of one sweep, running trials too if there are any.
        first_seed: of the sweep; None: the smallest among ``records``.
    """
    if not is_adaptive(records):
        return [record for record in records if not _overtook(record, records)], "wilson"
    first = min(record.seed for record in records) if first_seed is None else first_seed
    running = [record for record in records if record.status == "running"]
    return in_seed_order(records, first) + running, "anytime"


def _overtook(record: TrialRecord, records: Sequence[TrialRecord]) -> bool:
    """Did the trial end before one of its cell with a smaller seed?"""
    return record.status == "finished" and any(
        other.status == "running" and other.cell_id == record.cell_id and other.seed < record.seed for other in records
    )


def is_adaptive(records: Sequence[TrialRecord]) -> bool:
    """Were seeds chosen while looking at results?"""
    return any(record.allocation == "adaptive" for record in records)


def why(interval: IntervalKind, records: Sequence[TrialRecord]) -> str:
    """Why this interval is shown for this sweep, or what is wrong with it."""
    if not is_adaptive(records):
        if interval == "anytime":
            return f"it was asked for; {FIXED}, so a shorter one would do unless you decide by it when to stop"
        return FIXED
    if interval == "anytime":
        return ADAPTIVE
    return f"it was asked for, but {ADAPTIVE}: unlike the anytime interval it misses the rate more often than it says"
