"""What the sweep cost, what it saved, and what the saving costs in certainty."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.cost import cost
from analysis.questions.early_stopping_bias import CorrectedRate
from analysis.questions.rates import CellRate, group_by_cell
from analysis.report.format import NOTHING, format_seconds
from analysis.report.sections.base import Grid, Section
from core.records import TrialRecord


def cost_section(
    records: Sequence[TrialRecord],
    cells: Sequence[CellRate],
    corrected: Sequence[CorrectedRate],
    price: float | None = None,
) -> Section:
    """Totals, what stopping and an uneven allocation saved, and how wide the intervals became.

    Raises:
        ValueError: the price of a device-hour is negative.
    """
    total = cost(records, price)
    rows = [
        ["spent", str(total.trials), str(total.epochs_run), format_seconds(total.device_seconds), NOTHING],
        [
            "saved by stopping confirmed trials",
            NOTHING,
            str(total.epochs_saved),
            format_seconds(total.device_seconds_saved),
            f"{100 * total.saved_share:.0f} %",
        ],
    ]
    if not any(cell.running or cell.waiting for cell in cells):
        rows += _allocation(records, total.device_seconds)
    text = _certainty(cells, corrected)
    if price is not None:
        text += (
            f" At {price:g} per device-hour, {total.money:.2f} was spent and {total.money_saved:.2f} saved by stopping."
        )
    return Section(
        "cost",
        "What it cost",
        text,
        grids=[
            Grid(
                ("", "trials", "epochs", "device time", "share"),
                rows,
                caption="Saved epochs are counted at each trial's own pace. Share: of what would have been spent "
                "without this saving.",
            )
        ],
    )


def _allocation(records: Sequence[TrialRecord], spent: float) -> list[list[str]]:
    """What an equal number of trials per cell, that of the cell with the most, would have cost more."""
    groups = list(group_by_cell(records).values())
    most = max(map(len, groups))
    trials = sum(most - len(group) for group in groups)
    if not trials:
        return []

    def more(total: float, group: Sequence[TrialRecord]) -> float:
        return total / len(group) * (most - len(group))

    epochs = sum(more(sum(r.epochs_run for r in group), group) for group in groups)
    seconds = sum(more(sum(r.device_seconds for r in group), group) for group in groups)
    name = f"saved against {most} trials in every cell"
    share = f"{100 * seconds / (spent + seconds):.0f} %" if seconds else NOTHING
    return [[name, str(trials), f"{epochs:.0f}", format_seconds(seconds), share]]


def _certainty(cells: Sequence[CellRate], corrected: Sequence[CorrectedRate]) -> str:
    known = [cell for cell in corrected if cell.trials]
    if not known:
        return "No trial has ended yet."
    widths = [100 * cell.interval.width for cell in cells if cell.trials]
    span = " to ".join(dict.fromkeys(f"{width:.0f}" for width in (min(widths), max(widths))))
    text = f"Intervals of the rates above are {span} points wide."
    if any(cell.stoppable > cell.followed for cell in known):
        end = sum(100 * cell.interval.width for cell in known) / len(known)
        ever = sum(100 * cell.ever.interval.width for cell in known) / len(known)
        text += (
            " Stopping costs certainty only about the end of training: there the corrected intervals are "
            f"{end:.0f} points wide on average, against {ever:.0f} for the ever-unstable rate, which stopping leaves "
            "alone."
        )
    return text
