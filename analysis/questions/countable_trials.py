"""The trials that give an unbiased rate, and the interval that holds for it. Both depend on how seeds were chosen."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.rates import CellRate, Label, cell_rates
from analysis.statistics.intervals import IntervalKind
from core.allocation.replay import in_seed_order
from core.records import TrialRecord

FIXED = "the number of seeds was fixed in advance"
GROUPS = "trials that share a pinned seed are not independent"
ADAPTIVE = "this sweep looked at its results before it chose the next seed"


def countable_trials(
    records: Sequence[TrialRecord], first_seed: int | None = None
) -> tuple[list[TrialRecord], IntervalKind]:
    """The trials that give an unbiased rate, and the kind of interval that holds for it.

    An unstable trial that is stopped ends before a stable trial that started with it. To avoid a bias towards unstable
    trials, a trial of a running sweep counts only if no trial of its cell with a smaller seed is without a result. With
    a fixed number of seeds Wilson's interval holds or, if trials share pinned seeds, an interval that allows for
    groups. An adaptive sweep looks at its results before it chooses the next seed, which needs an anytime interval.

    Args:
        records: trials of one sweep, running ones too, and the first waiting trial of each cell (`attempts` is 0).
        first_seed: smallest seed of the sweep; None: the smallest among ``records``.

    Returns:
        The trials, with running and waiting ones, which rates do not count; and the kind of interval.
    """
    if not is_adaptive(records):
        return _in_order_of_seeds(records), "clustered" if in_groups(records) else "wilson"
    first = min(record.seed for record in records) if first_seed is None else first_seed
    running = [record for record in records if record.status == "running"]
    return in_seed_order(records, first) + running, "anytime"


def started(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials that have started. The record of a waiting trial only says that it is going to be trained."""
    return [record for record in records if record.attempts]


def default_label(records: Sequence[TrialRecord]) -> Label:
    """The label whose rate is shown by default.

    It is *ever* for an adaptive sweep, because the sweep decides by this label: it means the same in stopped trials and
    in audited ones.
    """
    return "ever" if is_adaptive(records) else "any"


def default_rates(records: Sequence[TrialRecord], first_seed: int | None = None) -> list[CellRate]:
    """The rates of a sweep's cells with the default label and the interval that suits the sweep's design.

    Arguments are those of `countable_trials`.
    """
    counted, interval = countable_trials(records, first_seed)
    return cell_rates(counted, default_label(records), interval=interval)


def _in_order_of_seeds(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The records without the trials that ended while a trial of their cell with a smaller seed is still running."""
    first_running: dict[str, int] = {}
    for record in records:
        if record.status == "running":
            first_running[record.cell_id] = min(record.seed, first_running.get(record.cell_id, record.seed))
    return [r for r in records if r.status == "running" or r.seed < first_running.get(r.cell_id, r.seed + 1)]


def in_groups(records: Sequence[TrialRecord]) -> bool:
    """Whether trials come in groups that share pinned seeds."""
    return len({tuple(sorted(record.pins.items())) for record in started(records)}) > 1


def is_adaptive(records: Sequence[TrialRecord]) -> bool:
    """Whether the sweep chose its seeds while looking at results."""
    return any(record.allocation == "adaptive" for record in records)


def interval_reason(interval: IntervalKind, records: Sequence[TrialRecord]) -> str:
    """The reason why this interval is shown for this sweep, or the flaw that it has here."""
    if not is_adaptive(records):
        if in_groups(records):
            return GROUPS if interval == "clustered" else f"it was asked for, but {GROUPS}: it is probably too narrow"
        if interval == "anytime":
            return f"it was asked for; because {FIXED}, the narrower wilson interval holds too"
        return FIXED
    if interval == "anytime":
        return ADAPTIVE
    return (
        f"it was asked for, but {ADAPTIVE}: its coverage is lower than its level, unlike that of the anytime interval"
    )
