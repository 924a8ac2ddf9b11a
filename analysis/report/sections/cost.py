"""The cost of the sweep, the cost that it saved, and the certainty that it reached."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.rates import group_by_cell
from analysis.questions.sweep_cost import sweep_cost
from analysis.questions.training_passes import training_passes
from analysis.report.context import ReportContext
from analysis.report.formatting import NOTHING, PASSES, format_passes, format_seconds
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable
from core.quantity import quantity
from core.records import TrialRecord


def cost_sections(context: ReportContext) -> list[Section]:
    """One section: the totals, the savings of early stopping and of adaptive allocation, and the widths of intervals.

    Raises:
        ValueError: the price of a device-hour is negative.
    """
    total = sweep_cost(context.records, context.price)
    rows = [["spent", str(total.trials), str(total.epochs_run), format_seconds(total.device_seconds), NOTHING]]
    if total.restarts or total.device_seconds_lost:
        share = total.device_seconds_lost / total.device_seconds if total.device_seconds else 0.0
        rows.append(
            [
                "of it lost" + (f" by {quantity(total.restarts, 'restart')}" if total.restarts else ""),
                NOTHING,
                NOTHING,
                format_seconds(total.device_seconds_lost),
                f"{100 * share:.0f} %",
            ]
        )
    if total.epochs_saved:
        rows.append(
            [
                "saved by stopping confirmed trials",
                NOTHING,
                str(total.epochs_saved),
                format_seconds(total.device_seconds_saved),
                f"{100 * total.saved_share:.0f} %",
            ]
        )
    if not any(cell.running or cell.waiting for cell in context.cells):
        rows += _allocation(context.records, total.device_seconds)
    caption = (
        "Lost time: of attempts that ended before a checkpoint contained their work. Saved epochs are valued at the "
        "pace of each trial's own epochs, without set-up and verdict. Share: lost time over the spent time, or saved "
        "time over the time without this saving."
    )
    table = TextTable(("", "trials", "epochs", "device time", "share"), rows, 1, caption if len(rows) > 1 else "")
    text = _certainty(context)
    if context.price is not None:
        text += (
            f" At {context.price:g} per device-hour, {total.money:.2f} was spent and {total.money_saved:.2f} saved by "
            "stopping."
        )
    return [Section("cost", "Cost", text, tables=[table.without_empty_columns(), _passes(context)])]


def _passes(context: ReportContext) -> TextTable:
    """The passes of each cell, and the device time that its trials took."""
    header = ("cell", "passes / batch", "x clean", "epochs", "gradient passes", "device time", "device s / epoch")
    rows = []
    for cell in training_passes(context.records):
        pace = cell.seconds_per_epoch
        rows.append(
            [
                context.cell_names.get(cell.cell_id, cell.cell_id),
                format_passes(cell.per_batch),
                NOTHING if cell.per_batch is None else f"{cell.per_batch.times_clean:.1f}",
                str(cell.epochs_run),
                NOTHING if cell.gradient_passes is None else f"{cell.gradient_passes:.3g}",
                format_seconds(cell.device_seconds),
                NOTHING if pace is None else f"{pace:.3g}",
            ]
        )
    caption = f"{PASSES} The measured device time has set-up, validation and verdicts, too."
    return TextTable(header, rows, 1, caption)


def _allocation(records: Sequence[TrialRecord], spent: float) -> list[list[str]]:
    """The extra cost if every cell had as many trials as the cell with the most."""
    groups = list(group_by_cell(records).values())
    most = max(map(len, groups))
    trials = sum(most - len(group) for group in groups)
    if not trials:
        return []

    def more(total: float, group: Sequence[TrialRecord]) -> float:
        return total / len(group) * (most - len(group))

    epochs = sum(more(sum(r.epochs_run for r in group), group) for group in groups)
    seconds = sum(more(sum(r.device_seconds for r in group), group) for group in groups)
    name = f"saved compared with {most} trials in every cell"
    share = f"{100 * seconds / (spent + seconds):.0f} %" if seconds else NOTHING
    return [[name, str(trials), f"{epochs:.0f}", format_seconds(seconds), share]]


def _certainty(context: ReportContext) -> str:
    known = [cell for cell in context.corrected if cell.trials]
    if not known:
        return "No trial has ended yet."
    widths = [100 * cell.interval.width for cell in context.cells if cell.trials]
    span = " to ".join(dict.fromkeys(f"{width:.0f}" for width in (min(widths), max(widths))))
    text = f"The intervals of the rates are {span} points wide."
    if any(cell.stoppable > cell.followed for cell in known):
        end = sum(100 * cell.interval.width for cell in known) / len(known)
        ever = sum(100 * cell.ever.interval.width for cell in known) / len(known)
        text += (
            " Early stopping widens only the intervals of the rate at the end of training: corrected, they are "
            f"{end:.0f} points wide on average. Intervals of the same kind ({known[0].ever.interval.kind}) of the "
            f"ever-unstable rate, which stopping does not change, are {ever:.0f} points wide."
        )
    return text
