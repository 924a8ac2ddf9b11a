"""The trials that may be counted, and the interval that holds for their rate. Both depend on how seeds were chosen."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.rates import Label
from analysis.statistics.intervals import IntervalKind
from core.allocation import SeedHistory, in_seed_order, until_end
from core.records import TrialRecord

FIXED = "the number of seeds was fixed in advance"
UNKNOWN = SeedHistory()
"""The history of a sweep of which nothing is known."""
GROUPS = "trials that share a pinned seed are not independent"
GROUPS_CONTINUED = f"{GROUPS}, and groups were added after results could be seen"
ADAPTIVE = "this sweep looked at its results before it chose the next seed"
CONTINUED = "this sweep was given more seeds after results could be seen"
CHANGED = f"{ADAPTIVE}, and its goal was changed on the way or is not known"
SEQUENTIAL = (
    "the rule by which a cell ends was fixed in advance and its error is known exactly; cells that have not ended show "
    "anytime intervals"
)

_OF_FIXED: dict[bool, tuple[IntervalKind, IntervalKind]] = {
    False: ("blaker", "anytime"),
    True: ("clustered", "clustered-anytime"),
}
"""Kinds of intervals without and with more seeds after a look, by whether trials come in groups."""


def countable_trials(
    records: Sequence[TrialRecord], history: SeedHistory = UNKNOWN
) -> tuple[list[TrialRecord], IntervalKind]:
    """The trials that may be counted, and the kind of interval that holds for their rate.

    An unstable trial that is stopped ends before a stable trial that started with it. Of all trials that have ended,
    too many would therefore be unstable. A trial of a running sweep counts only if no trial of its cell with a smaller
    seed is without a result. With a fixed number of seeds Blaker's exact interval holds or, if trials share pinned
    seeds, an interval that allows for groups. An adaptive sweep looks at its results before it chooses the next seed,
    which needs an anytime interval, unless its cells end by a rule that was fixed in advance: then the trials up to
    this end count, with the rule's exact interval. More seeds after a look turn a fixed design into an adaptive one.

    Args:
        records: trials of one sweep, running ones too, and the first waiting trial of each cell (`attempts` is 0).
        history: how the sweep's seeds were chosen.

    Returns:
        The trials, with running and waiting ones, which rates do not count; and the kind of interval.
    """
    if not is_adaptive(records):
        fixed, changed = _OF_FIXED[in_groups(records)]
        return _in_order_of_seeds(records), changed if history.changed else fixed
    first = min(record.seed for record in records) if history.first_seed is None else history.first_seed
    running = [record for record in records if record.status == "running"]
    finished = in_seed_order(records, first)
    if history.design is None:
        return finished + running, "anytime"
    return until_end(finished, history.design) + running, "sequential"


def started(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials that have started. The record of a waiting trial only says that it is going to be trained."""
    return [record for record in records if record.attempts]


def default_label(records: Sequence[TrialRecord]) -> Label:
    """The label whose rate is shown by default: the one that the sweep's design can answer.

    How a stopped trial would have ended is unknown, but it was certainly unstable at some time. The label is therefore
    *ever* if the protocol stops trials. It is *ever* for an adaptive sweep too, because the sweep decides by it.
    """
    return "ever" if is_adaptive(records) or any(record.can_be_stopped for record in records) else "any"


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


def interval_reason(interval: IntervalKind, records: Sequence[TrialRecord], history: SeedHistory = UNKNOWN) -> str:
    """The reason why this interval is shown for this sweep, or the flaw that it has here."""
    if interval == "sequential":
        return SEQUENTIAL
    if not is_adaptive(records):
        if history.changed and not in_groups(records):
            return CONTINUED if interval == "anytime" else f"it was asked for, but {CONTINUED}: it misses more often"
        if in_groups(records) and history.changed:
            asked = f"it was asked for, but {GROUPS_CONTINUED}: it is probably too narrow"
            return GROUPS_CONTINUED if interval == "clustered-anytime" else asked
        if in_groups(records):
            return GROUPS if interval == "clustered" else f"it was asked for, but {GROUPS}: it is probably too narrow"
        if interval == "anytime":
            return f"it was asked for; because {FIXED}, the narrower blaker interval holds too"
        if interval == "wilson":
            return f"{FIXED}, and it was asked for: at rates near 0 and 1 it misses more often than its level says"
        return FIXED
    if interval == "anytime":
        return CHANGED if history.changed else ADAPTIVE
    return (
        f"it was asked for, but {ADAPTIVE}: its coverage is lower than its level, unlike that of the anytime interval"
    )
