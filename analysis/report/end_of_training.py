"""What a sweep that stops trials says about the end of training, in one sentence."""

from __future__ import annotations

from analysis.questions.early_stopping_bias import CorrectedRate, healing_of_stoppable
from analysis.report.context import ReportContext
from analysis.report.formatting import format_ends


def end_sentence(context: ReportContext) -> str:
    """The rate at the end of training, or what a statement about it needs; empty if the page shows this rate anyway."""
    if context.label != "ever":
        return ""
    stopped = sum(record.stopped_early for record in context.counted)
    if not any(record.can_be_stopped for record in context.counted):
        return "Every trial trains to its end: --label any shows the rate of trials that are unstable at their end."
    if not stopped:
        return ""
    trials = "1 trial was" if stopped == 1 else f"{stopped} trials were"
    healing = healing_of_stoppable(context.counted)
    if not healing.followed:
        return (
            f"{trials[0].upper()}{trials[1:]} stopped while unstable, and might have healed. The rate of trials that "
            "are unstable at the end of training needs audited trials (--audit 0.2) or --no-stop."
        )
    audited = "1 audited trial stands" if healing.followed == 1 else f"{healing.followed} audited trials stand"
    return (
        f"At the end of training, {_span(context)} of trials are unstable by estimate. {trials} stopped, and "
        f"{audited} for them, of which {healing.healed} healed. --label any shows this "
        "rate of every cell."
    )


def _span(context: ReportContext) -> str:
    known = [cell for cell in context.corrected if cell.rate is not None]
    level = f"{100 * context.level:g} % interval"
    if not known:
        return f"an unknown share ({level} {format_ends(context.corrected[0].interval)} %)"
    # Among cells with equal rates, the sentence names the one with the widest interval.
    low = min(known, key=lambda cell: (cell.rate or 0.0, -cell.interval.width))
    high = max(known, key=lambda cell: (cell.rate or 0.0, cell.interval.width))
    if len(context.corrected) == 1:
        return f"{_percent(low)} ({level} {format_ends(low.interval)} %)"
    if low is high:
        return f"{_percent(low)} in every cell (widest {level} {format_ends(low.interval)} %)"
    return (
        f"{_percent(low)} ({level} {format_ends(low.interval)} %) to {_percent(high)} ({format_ends(high.interval)} %)"
    )


def _percent(cell: CorrectedRate) -> str:
    return f"{100 * (cell.rate or 0):.0f} %"
