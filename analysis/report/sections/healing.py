"""Trials of an earlier sweep that were trained again with healing, as in the paper's Table 3."""

from __future__ import annotations

from analysis.report.context import ReportContext
from analysis.report.sections.base import Section
from analysis.report.tables.healing_table import healing_table


def healing_sections(context: ReportContext) -> list[Section]:
    """One section; none if the sweep trains no trial again or none of its trials has finished."""
    if context.earlier is None or not context.healing:
        return []
    return [
        Section(
            "healing",
            "Regular, unstable and fixed trials",
            f"As in the paper's Table 3: trials of sweep {context.earlier.sweep} that ended stable (regular), its "
            "trials whose seeds are trained again (unstable), and the same seeds in this sweep (fixed).",
            tables=[healing_table(comparison) for comparison in context.healing],
        )
    ]
