"""Trials of an earlier sweep that were trained again with healing: Table 3's comparison."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.healing import Before, compare_healing
from analysis.report.grid import describe
from analysis.report.sections.base import Grid, Section
from analysis.report.tables.healing_table import healing_caption, healing_lines
from core.records import TrialRecord


def healing_sections(records: Sequence[TrialRecord], before: Before | None, level: float) -> list[Section]:
    """One section, or none where the sweep trains nothing again or none of its trials has finished."""
    found = compare_healing(before, records, level) if before else []
    if before is None or not found:
        return []
    grids = []
    for comparison in found:
        # values down the page: across it they would not fit
        header, *lines = (list(column) for column in zip(*healing_lines(comparison), strict=True))
        cell = f"{describe(comparison.factors)}. " if comparison.factors else ""
        grids.append(Grid(header, lines, 1, cell + healing_caption(comparison)))
    return [
        Section(
            "healing",
            "Regular, unstable and fixed",
            f"As the paper's Table 3: trials of sweep {before.sweep} that ended stable, those whose seeds are trained "
            "again here, and the same seeds here.",
            grids=grids,
        )
    ]
