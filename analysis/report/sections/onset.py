"""The time of the onset: survival curves, and tests between cells."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.onset import CellSurvival, compare_onsets, onset_survival
from analysis.report.context import ReportContext
from analysis.report.facets import distinct_factors
from analysis.report.figures.onset import onset_panels
from analysis.report.formatting import NOTHING, format_rate
from analysis.report.sections.base import Section, picture
from analysis.report.tables.text_table import TextTable
from core.config.naming import describe, format_value
from core.records import TrialRecord


def onset_sections(context: ReportContext) -> list[Section]:
    """One section: Kaplan-Meier curves, P(onset) at a quarter, half and all of the epochs, and a log-rank test."""
    cells = onset_survival(context.records, context.level)
    longest = max(cell.curve.last_seen for cell in cells)
    at = sorted({max(1, round(longest * share)) for share in (0.25, 0.5, 1)})
    names = distinct_factors(cells)
    rows = [
        [
            *(format_value(cell.factors[name]) for name in names),
            f"{cell.events}/{cell.trials}",
            *(format_rate(*cell.probability_by(epoch)) for epoch in at),
            ", ".join(f"{count} {reason}" for reason, count in cell.censored.items()) or NOTHING,
            str(cell.silent or NOTHING),
        ]
        for cell in cells
    ]
    header = [*names, "onsets", *(f"by epoch {epoch}" for epoch in at), "without onset", "silent"]
    table = TextTable(header, rows, len(names)).without_empty_columns()
    notes = [_difference(context.records, cells)] if len(cells) > 1 else []
    if any(cell.silent for cell in cells):
        notes.append("Silent: trials that are unstable at the end without an onset, missed by the detector.")
    several = " A bar beside the end of a curve is" if len(cells) > 1 else " The band is"
    return [
        Section(
            "onset",
            "Time of the onset",
            "How likely has a trial had an onset (alarm of its detector) by the end of epoch t? Kaplan–Meier "
            "estimates: a trial that ended, crashed or still runs without an onset counts up to the last epoch at "
            f"which an onset could be seen.{several} the {100 * context.level:g} % interval.",
            [picture(draw, "Probability of an onset by epoch") for draw in onset_panels(cells)],
            [table],
            " ".join(notes),
        )
    ]


def _difference(records: Sequence[TrialRecord], cells: Sequence[CellSurvival]) -> str:
    overall, pairs = compare_onsets(records)
    by_id = {cell.cell_id: describe({n: cell.factors[n] for n in distinct_factors(cells)}) for cell in cells}
    different = [test for test in pairs if test.adjusted < 0.05]
    found = f"Log-rank test among all cells: p = {overall.p_value:.2g}. "
    found += f"{len(different)} of {len(pairs)} pairs differ at 5 % after Holm's correction"
    shown = sorted(different, key=lambda test: test.adjusted)[:3]
    named = "; ".join(f"{by_id[t.cells[0]]} and {by_id[t.cells[1]]} (p = {t.adjusted:.2g})" for t in shown)
    return f"{found}{', such as ' if named else ''}{named}."
