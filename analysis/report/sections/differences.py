"""The differences between the rates of cells."""

from __future__ import annotations

from analysis.questions.cell_differences import Basis, CellDifference, cell_differences, seed_correlation
from analysis.report.context import ReportContext
from analysis.report.formatting import NOTHING
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable

MAX_PAIRS = 36
"""Largest number of pairs of cells in the table: all of nine cells. Of more pairs, those farthest apart are shown."""
BASES: dict[Basis, str] = {
    "paired": "exact for pairs of trials with one seed",
    "melded": "melded, for cells with different seeds",
    "groups": "for the mean difference within groups of pinned seeds, for any distribution",
    "corners": "the corners of the cells' intervals, because numbers of trials depended on results",
}


def difference_sections(context: ReportContext) -> list[Section]:
    """One section: an interval of each difference, and how many pairs of cells differ; none with one cell."""
    found = cell_differences(context.counted, context.label, context.level, context.interval, context.history.design)
    if not found:
        return []
    names, level = context.cell_names, f"{100 * context.level:g} %"
    shown = sorted(found, key=_closeness)[:MAX_PAIRS]
    rows = [
        [
            *(names[cell] for cell in one.cells),
            *(f"{k}/{n}" for k, n in one.counts),
            f"{100 * _difference(one):+.0f}",
            _ends(one.ends),
            _ends(one.together),
            NOTHING if one.adjusted is None else f"{one.adjusted:.2g}",
            NOTHING if one.correlation is None else f"{one.correlation:+.2f}",
        ]
        for one in shown
    ]
    header = (
        *("cell", "compared with", "unstable", "unstable", "points", level, f"all pairs: {level}", "p (Holm)"),
        "correlation",
    )
    bases = "; ".join(BASES[basis] for basis in BASES if any(one.basis == basis for one in found))
    caption = f"Points: the first rate minus the second. Intervals: {bases}."
    if len(found) > len(shown):
        caption += f" The {len(shown)} of {len(found)} pairs that are farthest apart."
    differ = sum(one.differ for one in found)
    text = (
        f"{differ} of {len(found)} pairs of cells differ, with an error of at most 5 % over all pairs together. The "
        f'intervals of the column "all pairs" hold together at {level}, also for pairs that were chosen because of '
        "their results."
    )
    table = TextTable(header, rows, 2, caption).without_empty_columns()
    return [Section("differences", "Differences between cells", text, tables=[table], note=_pairing(context))]


def _pairing(context: ReportContext) -> str:
    found = seed_correlation(context.counted, context.label)
    if found is None:
        return ""
    correlation, pairs = found
    return (
        f"Pairing by seed: the outcomes of one seed in two cells have a correlation of {correlation:+.2f} over {pairs} "
        f"pairs of trials. A comparison of paired seeds needs about {100 * max(0.0, 1 - correlation):.0f} % of the "
        "trials that different seeds would need."
    )


def _difference(one: CellDifference) -> float:
    (k, n), (j, m) = one.counts
    return k / n - j / m


def _closeness(one: CellDifference) -> tuple[bool, float, float]:
    return not one.differ, 1.0 if one.p_value is None else one.p_value, -abs(_difference(one))


def _ends(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:+.0f} to {100 * ends[1]:+.0f}"
