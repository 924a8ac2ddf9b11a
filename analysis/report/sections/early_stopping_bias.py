"""The bias of early stopping, from audited trials, and the rates corrected for it."""

from __future__ import annotations

from analysis.questions.early_stopping_bias import audit_stopper
from analysis.report.context import ReportContext
from analysis.report.facets import distinct_factors
from analysis.report.formatting import format_rate
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable
from analysis.statistics.clustered_interval import CLUSTERED
from core.config.naming import format_value

GROUPS_IGNORED = " Their intervals do not allow for pinned seeds and are probably too narrow."


def early_stopping_sections(context: ReportContext) -> list[Section]:
    """One section: the stopper's error rates, and rates of instability at the end corrected for stopping."""
    tables = [table for table in (_audit(context), _corrected(context)) if table]
    text = (
        "A stopped trial might have healed later. Audited trials, drawn before they start, continue after a confirmed "
        "alarm and show how often that happens."
    )
    if not tables:
        share = context.records[0].protocol.get("audit") or 0
        drawn = (
            f"its share of audits, {share:g}, drew none yet" if share else "--audit 0.2 would audit one trial in five"
        )
        text += f" No trial of this sweep was stopped early or audited; {drawn}."
    return [Section("stopping", "Bias of early stopping", text, tables=tables)]


def _audit(context: ReportContext) -> TextTable | None:
    audit = audit_stopper(context.counted, context.level, context.other_interval)
    answers = [answer for answer in (audit.false_alarms, audit.self_healing, audit.misses) if answer.n]
    if not answers:
        return None
    return TextTable(
        ("question", "k/n", "share"),
        [[answer.question, f"{answer.k}/{answer.n}", format_rate(answer.rate, answer.interval)] for answer in answers],
        caption=f"From {audit.audited} finished trials that ran to the end regardless of alarms.",
    )


def _corrected(context: ReportContext) -> TextTable | None:
    cells = context.corrected
    if not any(cell.stoppable for cell in cells):
        return None
    names = distinct_factors(cells)
    return TextTable(
        (*names, "trials", "stoppable", "followed", "unstable at the end, corrected", "ever unstable, raw"),
        [
            [
                *(format_value(cell.factors[name]) for name in names),
                *(str(count) for count in (cell.trials, cell.stoppable, cell.followed)),
                format_rate(cell.rate, cell.interval),
                format_rate(cell.ever.rate, cell.ever.interval),
            ]
            for cell in cells
        ],
        len(names),
        f"Corrected: {cells[0].question} Stopped trials are represented by audited trials that could have been stopped "
        f"(followed); without any, only an interval is known. Ever ({cells[0].ever.interval.kind} intervals): "
        f"{cells[0].ever.question}" + (GROUPS_IGNORED if context.interval in CLUSTERED else ""),
    )
