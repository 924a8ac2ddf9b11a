"""What the reader of a report can do next, with the command for it."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.questions.countable_trials import is_adaptive
from analysis.questions.rates import outcome
from analysis.report.context import ReportContext
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable
from analysis.statistics.intervals import interval
from core.quantity import quantity

WIDTH = 0.4
"""Width of an interval that is narrow enough for most decisions."""
MAX_SEEDS = 200
"""Largest number of seeds that is proposed."""


def next_sections(context: ReportContext) -> list[Section]:
    """One section: commands that answer what this sweep leaves open; none if it leaves nothing open."""
    rows = [list(step) for step in _steps(context)]
    if not rows:
        return []
    text = (
        "Commands for what this sweep leaves open. OPTIONS stands for the options of the command that made the sweep."
    )
    return [Section("next", "What to do next", text, tables=[TextTable(("question", "command"), rows, 2)])]


def _steps(context: ReportContext) -> Iterator[tuple[str, str]]:
    sweep = context.sweep
    outcomes = {outcome(record) for record in context.records}
    if "running" in outcomes:
        yield "How far has the sweep got?", f"python jobs/status.py --sweep {sweep} --watch"
    wide = [cell for cell in context.cells if cell.interval.width > WIDTH]
    if wide and not is_adaptive(context.records):
        seeds = max(_seeds(cell.rate or 0.0) for cell in wide)
        more = sum(max(0, seeds - cell.trials) for cell in context.cells)
        yield (
            f"Are the intervals narrow enough? {quantity(len(wide), 'cell')} of {len(context.cells)} are wider than "
            f"{100 * WIDTH:.0f} points; {seeds} seeds per cell ({quantity(more, 'trial')} more) would be enough",
            f"python jobs/sweep_trades.py OPTIONS --seeds {seeds} --name {sweep}",
        )
        yield (
            "Would fewer trials be enough, if seeds went where they are needed?",
            f"python jobs/sweep_trades.py OPTIONS --until-width {WIDTH:g} --plan --pilot {sweep}",
        )
    if outcomes & {"stable", "unstable", "healed"} and not any(record.evaluations for record in context.records):
        yield (
            "How robust are these models under AutoAttack?",
            f"python jobs/evaluate.py --sweep {sweep} --images 200 --restarts 1",
        )
    if any(record.stopped_early for record in context.records) and not any(record.audit for record in context.records):
        yield (
            "Would stopped trials have healed?",
            f"python jobs/sweep_trades.py OPTIONS --audit 0.2 --name {sweep}-audited",
        )
    if any(record.verdict and record.verdict.onset and record.cell["heal"] == "none" for record in context.records):
        yield (
            "Would healing (Algorithm 1) have helped the unstable trials?",
            f"python jobs/sweep_trades.py --seeds-from {sweep} --heal fosc --no-stop --name {sweep}-healed",
        )
    yield (
        "Does another sweep differ?",
        f"python jobs/report.py --sweep {sweep} --against OTHER_SWEEP",
    )


def _seeds(rate: float) -> int:
    """The smallest number of trials at which an interval around this rate is at most `WIDTH` wide."""
    for n in range(2, MAX_SEEDS):
        if interval("blaker", round(rate * n), n).width <= WIDTH:
            return n
    return MAX_SEEDS
