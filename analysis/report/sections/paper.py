"""The sweep's cells beside the published ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from analysis.paper.compare_means import RowComparison, ValueComparison, compare_means
from analysis.paper.compare_rates import CONCLUSIONS, Comparison, compare_with_paper
from analysis.questions.healing import Before
from analysis.questions.rates import CellRate
from analysis.report.format import NOTHING
from analysis.report.grid import describe, distinct_factors
from analysis.report.sections.base import Grid, Section
from analysis.report.tables.evaluation_table import HEADERS
from analysis.statistics.intervals import Interval
from core.records import TrialRecord


def paper_sections(
    records: Sequence[TrialRecord], cells: Sequence[CellRate], level: float, before: Before | None = None
) -> list[Section]:
    """One section, or none where no cell has a published counterpart.

    Args:
        records: of the sweep.
        cells: its rates.
        level: of intervals.
        before: the earlier sweep whose seeds these are: the other rows of Table 3.
    """
    counts = compare_with_paper(records, level)
    means = [*compare_means(before.compared if before else (), level), *compare_means(records, level)]
    if not counts and not means:
        return []
    names = {cell.cell_id: describe({n: cell.factors[n] for n in distinct_factors(cells)}) or "all" for cell in cells}
    shared = set.intersection(*map(set, [c.differences for c in counts] + [row.differences for row in means]))
    grids = [_count_grid(counts, names, shared, level)] if counts else []
    return [
        Section(
            "paper",
            "Beside the paper",
            "Counts and means here and in the TRADES instability paper's tables, whose rule is used here too: a trial "
            "is unstable if its PGD-10 accuracy is at least 8 points above Square's. "
            f"Set-up that differs everywhere: {', '.join(sorted(shared)) or 'nothing'}.",
            grids=[*grids, *(_mean_grid(row, names, shared, level) for row in means)],
            note=_note({c.conclusion for c in counts} | {v.conclusion for row in means for v in row.values}, means),
        )
    ]


def _note(conclusions: Iterable[str | None], means: Sequence[RowComparison]) -> str:
    found = set(conclusions)
    text = "; ".join(f"{name}: {meaning}" for name, meaning in CONCLUSIONS.items() if name in found)
    text = f"{text}. P-values are not corrected for their number. " if text else ""
    if means:
        text += (
            "Means: test images, mean ± sample standard deviation (number of trials); the paper does not say which "
            "deviation it prints, nor on which images its PGD-10 was measured. Gap: PGD-10 minus AutoAttack. "
            "Difference: here minus paper, Welch's t."
        )
    return text


def _count_grid(counts: Sequence[Comparison], names: Mapping[str, str], shared: set[str], level: float) -> Grid:
    return Grid(
        ("unstable trials of", "paper's table", "conclusion", "differs besides", "here", "paper", "p"),
        [_count_row(comparison, names[comparison.cell_id], shared) for comparison in counts],
        4,
        f"{100 * level:g} % Clopper–Pearson intervals. p: Boschloo's exact test that both counts come from one "
        "probability.",
    )


def _count_row(comparison: Comparison, name: str, shared: set[str]) -> list[str]:
    paper = comparison.paper
    return [
        name,
        f"Table {paper.table}",
        comparison.conclusion,
        _besides(comparison.differences, shared) or NOTHING,
        _count(comparison.k, comparison.n, comparison.interval),
        _count(paper.k, paper.n, comparison.paper_interval),
        f"{comparison.p_value:.2g}" if comparison.n else NOTHING,
    ]


def _count(k: int, n: int, interval: Interval) -> str:
    return f"{k}/{n} [{100 * interval.low:.0f}–{100 * interval.high:.0f} %]"


def _mean_grid(row: RowComparison, names: Mapping[str, str], shared: set[str], level: float) -> Grid:
    paper = row.paper
    where = names.get(row.cell_id) or f"sweep {row.sweep}"
    besides = _besides(row.differences, shared)
    return Grid(
        (f"Table {paper.table}, {paper.name}", "conclusion", "here", "paper", f"difference, {100 * level:g} %", "p"),
        [_mean_row(value, paper.n if paper.n_printed else None) for value in row.values],
        2,
        f"{where}: {row.trials} {'trials' if paper.trials == 'all' else f'{paper.trials} trials'}, "
        f"{paper.checkpoint} checkpoint." + (f" Differs besides: {besides}." if besides else ""),
    )


def _mean_row(value: ValueComparison, paper_n: int | None) -> list[str]:
    test, paper = value.test, value.paper
    deviation = "" if paper.deviation is None else f" ± {paper.deviation:.4f}"
    return [
        "Gap" if value.value == "gap" else HEADERS[value.value],
        value.conclusion or value.why,
        f"{value.ours} ({value.ours.trials})" if value.ours else NOTHING,
        f"{paper.mean:.4f}{deviation} ({paper_n or '?'})",
        f"{test.difference:+.4f} [{test.low:+.4f}, {test.high:+.4f}]" if test else NOTHING,
        f"{test.p_value:.2g}" if test else NOTHING,
    ]


def _besides(differences: Sequence[str], shared: set[str]) -> str:
    return ", ".join(difference for difference in differences if difference not in shared)
