"""What every section of a report is made from: the records of a sweep and the choices of the report's reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from analysis.questions.countable_trials import UNKNOWN, countable_trials, default_label, started
from analysis.questions.displayed_rates import displayed_rates
from analysis.questions.early_stopping_bias import CorrectedRate, corrected_rates
from analysis.questions.failures import FAILURES, Failure
from analysis.questions.rates import CellRate, Label, varying_factors
from analysis.report.facets import distinct_factors
from analysis.report.options import ReportOptions
from analysis.statistics.intervals import IntervalKind
from core.allocation import SeedHistory
from core.config.naming import describe
from core.records import TrialRecord

FIXED_KINDS: tuple[IntervalKind, ...] = ("blaker", "clopper-pearson", "wilson")
"""Kinds of intervals for independent trials whose number was fixed in advance."""
NO_GOAL = {"until_width": None, "until_decided": None}

if TYPE_CHECKING:
    from analysis.questions.detection import Judged
    from analysis.questions.healing import EarlierRecords, HealingComparison
    from analysis.report.figures.paper import Panel


@dataclass(frozen=True, kw_only=True)
class ReportContext:
    """A sweep and how its report is made. Results that several sections share are computed once, when first asked for.

    Args:
        sweep: name of the sweep.
        records: all trials of the sweep that have started.
        counted: the trials that may be counted, with running and waiting ones, see `countable_trials`.
        label: label whose rate is shown.
        interval: kind of interval of a rate.
        history: how the sweep's seeds were chosen.
        level: coverage of all intervals, in (0, 1).
        falls_with: option with which the reader assumes that the rate falls; None: no order is assumed.
        price: price of a device-hour; without it, costs are not shown as money.
        earlier: the earlier sweep whose trials this sweep trains again, if it does.
        against: another sweep that this one is compared with, with the label that both can answer.
        landscapes: contours of loss landscapes, from `landscape_panels`.
        stopped_because: sentence about why the driver ended the sweep early; empty if it did not.
        links: address of the page of a trial's MLflow run by the trial's key; a trial without one has no link.
        links_note: sentence printed under the links.
    """

    sweep: str
    records: Sequence[TrialRecord]
    counted: Sequence[TrialRecord]
    label: Label
    interval: IntervalKind
    history: SeedHistory = UNKNOWN
    level: float = 0.95
    falls_with: str | None = None
    price: float | None = None
    earlier: EarlierRecords | None = None
    against: ReportContext | None = None
    landscapes: Sequence[Panel] = ()
    stopped_because: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    links_note: str = ""

    @cached_property
    def cells(self) -> list[CellRate]:
        """The rate of every cell.

        Raises:
            ValueError: the label, the level or the kind of interval is not one of those allowed.
        """
        return displayed_rates(self.counted, self.label, self.level, self.interval, self.history.design)

    @cached_property
    def together(self) -> list[CellRate]:
        """The rates with intervals that hold for all cells together at `level`, by Bonferroni's correction."""
        level = 1 - (1 - self.level) / max(1, len(self.cells))
        return displayed_rates(self.counted, self.label, level, self.interval, self.history.design)

    @property
    def other_interval(self) -> IntervalKind:
        """Kind of interval of shares other than the rates by which cells end."""
        return "anytime" if self.interval == "sequential" else self.interval

    @property
    def uncounted(self) -> int:
        """Number of finished trials that do not count before trials with smaller seeds have ended."""
        return len(self.records) - len(started(self.counted)) - self.left_out

    @cached_property
    def left_out(self) -> int:
        """Number of finished trials that do not count because their cell had ended with a smaller seed."""
        ended = {cell.cell_id for cell in self.cells if cell.interval.kind == "sequential"}
        counted = Counter(record.cell_id for record in self.counted if record.status == "finished")
        finished = Counter(record.cell_id for record in self.records if record.status == "finished")
        return sum(finished[cell] - counted[cell] for cell in ended)

    @cached_property
    def factors(self) -> list[str]:
        """Names of the options that tell the cells apart."""
        return distinct_factors(self.cells)

    @cached_property
    def cell_names(self) -> dict[str, str]:
        """The name of each cell by its id, such as ``beta=1 batch_size=16``."""
        return {
            cell.cell_id: describe({name: cell.factors[name] for name in self.factors}) or cell.setting
            for cell in self.cells
        }

    @cached_property
    def corrected(self) -> list[CorrectedRate]:
        """The rate of instability at the end of training, corrected for early stopping, of every cell."""
        return corrected_rates(self.counted, self.level, "anytime" if self.other_interval == "anytime" else "melded")

    @cached_property
    def detectors(self) -> dict[Failure, Judged]:
        """The quality of all detectors on each failure, with the patience and the grace of the sweep's protocol."""
        # imported here, because scipy is slow to import and the table that a sweep prints does not need it
        from analysis.questions.detection import judge_detectors

        protocol = self.records[0].protocol
        patience, grace = protocol["fosc_patience"], protocol["fosc_grace"]
        return judge_detectors(self.records, patience, grace, self.level, tuple(FAILURES))

    @cached_property
    def healing(self) -> list[HealingComparison]:
        """Comparisons with the earlier sweep; none without one."""
        if self.earlier is None:
            return []
        # imported here, like the detectors above
        from analysis.questions.healing import compare_healing

        return compare_healing(self.earlier, self.counted, self.level)


def report_context(
    sweep: str,
    records: Sequence[TrialRecord],
    options: ReportOptions | None = None,
    *,
    history: SeedHistory = UNKNOWN,
    earlier: EarlierRecords | None = None,
) -> ReportContext:
    """The context of a sweep's report, with the label and the interval that suit the sweep's design by default.

    Args:
        sweep: name of the sweep.
        records: all trials of the sweep, running and waiting ones too; the report does not show waiting ones.
        options: choices of the reader.
        history: how the sweep's seeds were chosen.
        earlier: the earlier sweep whose trials this sweep trains again, if it does.
    """
    chosen = options or ReportOptions()
    if chosen.interval not in (None, "sequential"):
        # another interval than the design's holds for all trials, not for those up to the design's end
        history = replace(history, plans=[plan.model_copy(update=NO_GOAL) for plan in history.plans])
    counted, interval = countable_trials(records, history)
    if chosen.interval == "sequential" and interval != "sequential":
        raise ValueError("--interval sequential: needs an adaptive sweep with one certainty goal from its beginning")
    if chosen.falls_with is not None:
        _check_order(chosen.falls_with, records, chosen.interval or interval)
    return ReportContext(
        sweep=sweep,
        records=started(records),
        counted=counted,
        label=chosen.label or default_label(records),
        interval=chosen.interval or interval,
        history=history,
        level=chosen.level,
        falls_with=chosen.falls_with,
        price=chosen.price,
        earlier=earlier,
    )


def _check_order(option: str, records: Sequence[TrialRecord], interval: IntervalKind) -> None:
    cells = [record.cell for record in records]
    numbers = [
        name
        for name in varying_factors(records)
        if all(isinstance(cell.get(name), int | float) and not isinstance(cell.get(name), bool) for cell in cells)
    ]
    if option not in numbers:
        allowed = ", ".join(numbers) or "none"
        raise ValueError(f"--falls-with {option}: must be a number that varies in this sweep: {allowed}")
    if interval not in FIXED_KINDS:
        raise ValueError(f"--falls-with {option}: needs independent trials whose number was fixed in advance")
