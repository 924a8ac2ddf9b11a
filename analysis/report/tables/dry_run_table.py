"""The table of ``--dry-run``: the cells that a sweep would train, their trials and their expected cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from analysis.report.formatting import PASSES, format_passes
from core.config import Passes
from core.config.naming import format_value, naming_options, setting_name


@dataclass(frozen=True)
class PlannedCell:
    """One cell of a sweep that has not started, with its expected cost if no trial is stopped early."""

    options: Mapping[str, Any]
    """All options of the cell, flat."""
    passes: Passes
    """Passes of one training batch."""
    trials: int
    flop_per_trial: float
    """Floating-point operations of one trial; a multiply-add counts as two."""
    device_hours: float
    """Device-hours of all trials of the cell."""


def dry_run_table(cells: Sequence[PlannedCell]) -> Table:
    """The cells by the options that vary, with their trials, passes per batch, PFLOP per trial and device-hours."""
    table = Table()
    factors = naming_options([cell.options for cell in cells])
    for name in (*(factors or ["cell"]), "trials", "passes / batch", "x clean", "PFLOP / trial", "device-hours"):
        table.add_column(name, justify="right")
    for cell in cells:
        table.add_row(
            *([format_value(cell.options.get(name)) for name in factors] or [setting_name(cell.options)]),
            str(cell.trials),
            format_passes(cell.passes),
            f"{cell.passes.times_clean:.1f}",
            f"{cell.flop_per_trial / 1e15:.3g}",
            f"{cell.device_hours:.3g}",
        )
    table.caption = PASSES
    table.caption_justify = "left"
    return table
