"""What stopping trials early does to the answer, from the trials that were let run."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.early_stopping_bias import CorrectedRate, audit_stopper
from analysis.report.format import NOTHING, format_value
from analysis.report.grid import distinct_factors
from analysis.report.sections.base import Grid, Section
from analysis.statistics.intervals import Interval, IntervalKind, Proportion
from core.records import TrialRecord


def stopping_section(
    records: Sequence[TrialRecord], cells: Sequence[CorrectedRate], level: float, interval: IntervalKind
) -> Section:
    """The stopper's error rates, and rates of instability at the end corrected for stopping."""
    audit = audit_stopper(records, level, interval)
    names = distinct_factors(cells)
    answers = Grid(
        ("question", "k/n", "share"),
        [_answer_row(answer) for answer in (audit.false_alarms, audit.self_healing, audit.misses)],
        caption=f"From {audit.audited} finished trials that ran to the end whatever the detector said.",
    )
    corrected = Grid(
        (*names, "trials", "stoppable", "followed", "unstable at the end, corrected", "ever unstable, raw"),
        [
            [
                *(format_value(cell.factors[name]) for name in names),
                *(str(count) for count in (cell.trials, cell.stoppable, cell.followed)),
                _rate(cell.rate, cell.interval),
                _rate(cell.ever.rate, cell.ever.interval),
            ]
            for cell in cells
        ],
        len(names),
        "corrected: " + (cells[0].question if cells else "") + " Stopped trials are represented by the audited trials "
        "that could have been stopped (followed); without any, only an interval is known. ever: "
        + (cells[0].ever.question if cells else ""),
    )
    return Section(
        "stopping",
        "What stopping early hides",
        "A stopped trial might have healed. Audited trials, drawn before they start, run on after a confirmed alarm "
        "and say how often that happens.",
        grids=[answers, corrected],
    )


def _answer_row(answer: Proportion) -> list[str]:
    return [answer.question, f"{answer.k}/{answer.n}", _rate(answer.rate, answer.interval)]


def _rate(rate: float | None, interval: Interval) -> str:
    estimate = NOTHING if rate is None else f"{100 * rate:.0f} %"
    return f"{estimate} [{100 * interval.low:.0f}–{100 * interval.high:.0f}]"
