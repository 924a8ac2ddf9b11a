"""When trials become unstable: survival curves of the onset."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.questions.onset import CellSurvival, compare_onsets, onset_survival
from analysis.report.figures.onset import onset_panels
from analysis.report.format import NOTHING, format_value
from analysis.report.grid import describe, distinct_factors
from analysis.report.sections.base import Grid, Section, picture
from core.records import TrialRecord


def onset_section(records: Sequence[TrialRecord], level: float) -> Section:
    """Kaplan-Meier curves per cell, P(onset) at a quarter, half and all of the epochs, and a log-rank test."""
    cells = onset_survival(records, level)
    longest = max(cell.curve.last_seen for cell in cells)
    at = sorted({max(1, round(longest * share)) for share in (0.25, 0.5, 1)})
    names = distinct_factors(cells)
    rows = [
        [
            *(format_value(cell.factors[name]) for name in names),
            f"{cell.events}/{cell.trials}",
            *(_probability(cell, epoch) for epoch in at),
            ", ".join(f"{count} {reason}" for reason, count in cell.censored.items()) or NOTHING,
            str(cell.silent or NOTHING),
        ]
        for cell in cells
    ]
    header = [*names, "onsets", *(f"by epoch {epoch}" for epoch in at), "no onset seen", "silent"]
    return Section(
        "onset",
        "When it starts",
        "How likely has a trial had an onset (FOSC alarm) by the end of epoch t? Kaplan–Meier estimates: trials that "
        "ended, crashed or still run without an onset count for as long as they were watched. Bars at the right are "
        f"{100 * level:g} % intervals at the last epoch seen.",
        [picture(draw, "Probability of an onset by epoch") for draw in onset_panels(cells)],
        [Grid(header, rows, len(names))],
        _difference(records, cells),
    )


def _probability(cell: CellSurvival, epoch: int) -> str:
    estimate, interval = cell.probability_by(epoch)
    rate = NOTHING if estimate is None else f"{100 * estimate:.0f} %"
    return f"{rate} [{100 * interval.low:.0f}–{100 * interval.high:.0f}]"


def _difference(records: Sequence[TrialRecord], cells: Sequence[CellSurvival]) -> str:
    silent = "silent: unstable at the end without any onset, missed by the detector and by these curves."
    if len(cells) < 2:
        return silent
    overall, pairs = compare_onsets(records)
    by_id = {cell.cell_id: describe({n: cell.factors[n] for n in distinct_factors(cells)}) for cell in cells}
    different = [test for test in pairs if test.adjusted < 0.05]
    found = f"Log-rank test among all cells: p = {overall.p_value:.2g}. "
    found += f"{len(different)} of {len(pairs)} pairs differ at 5 % after Holm's correction"
    shown = sorted(different, key=lambda test: test.adjusted)[:3]
    named = "; ".join(f"{by_id[t.cells[0]]} / {by_id[t.cells[1]]} (p = {t.adjusted:.2g})" for t in shown)
    return f"{found}{': ' if named else ''}{named}. {silent}"
