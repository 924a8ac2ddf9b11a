"""The forecast of ``--plan`` for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table

from analysis.questions.forecast import Forecast, Forecasted
from analysis.report.formatting import PASSES, format_passes
from core.config import Passes
from core.config.naming import format_value


def forecast_tables(
    forecast: Forecast,
    cells: Sequence[dict[str, Any]],
    passes: Sequence[Passes],
    assumed: Sequence[str],
    concurrency: int,
) -> RenderableType:
    """Two tables: what the whole sweep still needs, and the trials that each cell still needs.

    Args:
        forecast: forecast of the sweep.
        cells: what names each cell, such as the values of the options that vary.
        passes: passes of one training batch of each cell.
        assumed: assumed rate of each cell, in words.
        concurrency: number of trials at a time that the forecast assumes.
    """
    whole = _table("whole sweep", ["still needed"])
    wall = f"hours, {concurrency} trial{'s' * (concurrency > 1)} at a time"
    rows = {"trials": forecast.trials, "epochs": forecast.epochs, "device-hours": forecast.device_hours}
    rows[wall] = forecast.wall_hours
    if forecast.money is not None:
        rows["money"] = forecast.money
    for name, value in rows.items():
        whole.add_row(name, *_numbers(value))
    whole.caption = (
        f"{forecast.simulations} simulated sweeps with the sweep's own allocation and stopping; "
        f"{100 * forecast.reached:.0f} % of them reach the goal in every cell. Verdicts and start-up are left out."
    )
    if concurrency == 1:
        whole.caption += " --max-concurrent N gives the hours of N trials at a time."
    each = _table("trials per cell", [*cells[0], "passes / batch", "x clean", "assumed rate"])
    each.caption = PASSES
    for options, cost, rate, trials in zip(cells, passes, assumed, forecast.trials_per_cell, strict=True):
        named = map(format_value, options.values())
        each.add_row(*named, format_passes(cost), f"{cost.times_clean:.1f}", rate, *_numbers(trials))
    return Group(whole, each)


def _table(title: str, words: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for word in words:
        table.add_column(word)
    for header in ("mean", "10 %", "50 %", "90 %"):
        table.add_column(header, justify="right")
    return table


def _numbers(value: Forecasted) -> list[str]:
    return [f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}" for number in value]
