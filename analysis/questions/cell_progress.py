"""The progress of each cell of a running sweep: how many of its trials have ended, and the rate so far."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.questions.countable_trials import countable_trials, default_label, is_adaptive
from analysis.questions.displayed_rates import displayed_rates
from analysis.statistics.intervals import Interval
from core.allocation import SeedHistory, SweepPlan
from core.config.naming import setting_name
from core.records import SweepProgress, TrialRecord, varying_options


@dataclass(frozen=True)
class CellProgress:
    """One cell: the number of its trials in each state, and the rate that they give so far."""

    cell_id: str
    setting: str
    """The name of the cell where no option varies, see `setting_name`."""
    factors: dict[str, Any]
    """The values of the options that vary in the sweep."""
    done: int
    """Number of trials that ended and were not censored."""
    censored: int
    running: int
    pending: int | None
    """Number of trials that have not started; None if the sweep adds seeds as certainty needs them."""
    unstable: int
    counted: int
    """Number of trials in the rate: those done before which no trial of the cell with a smaller seed is still open."""
    rate: float | None
    interval: Interval
    device_seconds: float
    """Device-seconds of the trials that have ended."""


def sweep_cells(
    records: Sequence[TrialRecord],
    progress: SweepProgress | None,
    cells: Mapping[str, Mapping[str, Any]],
    plans: Sequence[SweepPlan] = (),
) -> list[CellProgress]:
    """The progress of all cells of a sweep in the order of ``cells``, cells without a trial included.

    Args:
        records: records of the trials that have ended.
        progress: last report of the sweep's driver about the other trials; None if no driver ever wrote one.
        cells: the sweep's cells by id, each with all its options.
        plans: how the number of seeds was planned.
    """
    running = Counter(trial.cell_id for trial in progress.running) if progress else Counter[str]()
    open_trials = progress.open_trials(cells) if progress else []
    adaptive = is_adaptive(records) or (progress is not None and progress.pending is None)
    label = default_label(records)
    history = SeedHistory(progress.first_seed if progress else None, plans)
    counted, kind = countable_trials([*records, *open_trials], history)
    kind = "anytime" if adaptive and kind != "sequential" else kind
    rates = {
        rate.cell_id: rate for rate in displayed_rates(_of(counted, cells), label, interval=kind, design=history.design)
    }
    ended = Counter(record.cell_id for record in records)
    censored = Counter(
        record.cell_id for record in records if record.verdict is None or record.verdict.outcome == "censored"
    )
    seconds: dict[str, float] = defaultdict(float)
    for record in records:
        seconds[record.cell_id] += record.device_seconds
    names = varying_options(cells.values())
    found = []
    for cell_id, options in cells.items():
        rate = rates.get(cell_id)
        found.append(
            CellProgress(
                cell_id=cell_id,
                setting=setting_name(options),
                factors={name: options.get(name) for name in names},
                done=ended[cell_id] - censored[cell_id],
                censored=censored[cell_id],
                running=running[cell_id],
                pending=None if progress is None or progress.pending is None else progress.pending.get(cell_id, 0),
                unstable=rate.unstable if rate else 0,
                counted=rate.trials if rate else 0,
                rate=rate.rate if rate else None,
                interval=rate.interval if rate else Interval(0.0, 1.0, 0.95, kind),
                device_seconds=seconds[cell_id],
            )
        )
    return found


def _of(records: Iterable[TrialRecord], cells: Mapping[str, Mapping[str, Any]]) -> list[TrialRecord]:
    return [record for record in records if record.cell_id in cells]
