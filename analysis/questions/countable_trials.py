"""Which trials of a sweep may be counted, and with which interval: it depends on how its seeds were chosen."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.rates import CellRate, Label, cell_rates
from analysis.statistics.intervals import IntervalKind
from core.allocation.replay import in_seed_order
from core.records import TrialRecord

FIXED = "the number of seeds was fixed in advance"
GROUPS = "trials that share a pinned seed are no independent trials"
ADAPTIVE = "this sweep looked at its results before it chose the next seed"


def countable_trials(
    records: Sequence[TrialRecord], first_seed: int | None = None
) -> tuple[list[TrialRecord], IntervalKind]:
    """Trials whose rate doesn't lean, and the kind of interval that holds for them.

    Unstable trials that were stopped are known before stable ones that started with them: while a sweep runs, a trial
    counts only if no trial of its cell with a smaller seed is still without a result. With a fixed number of seeds
    Wilson's interval holds or, where trials share pinned seeds, one that allows for groups. An adaptive sweep looked at
    its results before it chose the next seed, which takes an anytime interval.

    Args:
        records: of one sweep, running trials too if there are any, and of each cell the first that waits.
        first_seed: of the sweep; None: the smallest among ``records``.
    """
    if not is_adaptive(records):
        return _not_overtaking(records), "clustered" if in_groups(records) else "wilson"
    first = min(record.seed for record in records) if first_seed is None else first_seed
    running = [record for record in records if record.status == "running"]
    return in_seed_order(records, first) + running, "anytime"


def started(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Without trials that wait to be started, whose records only say that they are to come."""
    return [record for record in records if record.attempts]


def default_label(records: Sequence[TrialRecord]) -> Label:
    """The question a sweep answers unless told otherwise.

    An adaptive sweep decides by *ever* unstable, which means the same in stopped and in audited trials; what it shows
    must be what it decided by.
    """
    return "ever" if is_adaptive(records) else "any"


def default_rates(records: Sequence[TrialRecord], first_seed: int | None = None) -> list[CellRate]:
    """The rates that a sweep is shown with unless told otherwise; arguments as in `countable_trials`."""
    counted, interval = countable_trials(records, first_seed)
    return cell_rates(counted, default_label(records), interval=interval)


def _not_overtaking(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Without trials that ended before one of their cell with a smaller seed."""
    first_running: dict[str, int] = {}
    for record in records:
        if record.status == "running":
            first_running[record.cell_id] = min(record.seed, first_running.get(record.cell_id, record.seed))
    return [r for r in records if r.status == "running" or r.seed < first_running.get(r.cell_id, r.seed + 1)]


def in_groups(records: Sequence[TrialRecord]) -> bool:
    """Do trials come in groups that share pinned seeds?"""
    return len({tuple(sorted(record.pins.items())) for record in started(records)}) > 1


def is_adaptive(records: Sequence[TrialRecord]) -> bool:
    """Were seeds chosen while looking at results?"""
    return any(record.allocation == "adaptive" for record in records)


def interval_reason(interval: IntervalKind, records: Sequence[TrialRecord]) -> str:
    """Why this interval is shown for this sweep, or what is wrong with it."""
    if not is_adaptive(records):
        if in_groups(records):
            return GROUPS if interval == "clustered" else f"it was asked for, but {GROUPS}: it is likely too narrow"
        if interval == "anytime":
            return f"it was asked for; {FIXED}, so a shorter one would do unless you decide by it when to stop"
        return FIXED
    if interval == "anytime":
        return ADAPTIVE
    return f"it was asked for, but {ADAPTIVE}: unlike the anytime interval it misses the rate more often than it says"
