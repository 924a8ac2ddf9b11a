"""The sweep's cells beside the published ones."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.compare import CONCLUSIONS, Comparison, compare_with_paper
from analysis.intervals import Interval
from analysis.rates import CellRate
from analysis.report.format import NOTHING
from analysis.report.grid import describe, distinct_factors
from analysis.report.sections.base import Grid, Section
from core.records import TrialRecord


def paper_sections(records: Sequence[TrialRecord], cells: Sequence[CellRate], level: float) -> list[Section]:
    """One section, or none where no cell has a published counterpart."""
    found = compare_with_paper(records, level)
    if not found:
        return []
    names = {cell.cell_id: describe({n: cell.factors[n] for n in distinct_factors(cells)}) for cell in cells}
    shared = set.intersection(*(set(comparison.differences) for comparison in found))
    meanings = "; ".join(f"{name}: {CONCLUSIONS[name]}" for name in dict.fromkeys(c.conclusion for c in found))
    return [
        Section(
            "paper",
            "Beside the paper",
            "Trials whose PGD-10 accuracy is at least 8 points above Square's, here and in the TRADES instability "
            f"paper. Set-up that differs in every cell: {', '.join(sorted(shared)) or 'none'}.",
            grids=[
                Grid(
                    ("cell", "paper's table", "conclusion", "differs besides", "here", "paper", "p"),
                    [_row(comparison, names[comparison.cell_id] or "all", shared) for comparison in found],
                    4,
                    f"{100 * level:g} % Clopper–Pearson intervals. p: Boschloo's exact test that both counts come from "
                    f"one probability, not corrected for the number of cells. {meanings}.",
                )
            ],
        )
    ]


def _row(comparison: Comparison, name: str, shared: set[str]) -> list[str]:
    paper = comparison.paper
    return [
        name,
        f"Table {paper.table}",
        comparison.conclusion,
        ", ".join(d for d in comparison.differences if d not in shared) or NOTHING,
        _count(comparison.k, comparison.n, comparison.interval),
        _count(paper.k, paper.n, comparison.paper_interval),
        f"{comparison.p_value:.2g}" if comparison.n else NOTHING,
    ]


def _count(k: int, n: int, interval: Interval) -> str:
    return f"{k}/{n} [{100 * interval.low:.0f}–{100 * interval.high:.0f} %]"
