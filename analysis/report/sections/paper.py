"""The cells of the sweep beside the published ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from analysis.paper.compare_means import RowComparison, compare_means
from analysis.paper.compare_rates import Comparison, compare_with_paper
from analysis.paper.compare_values import ValueComparison
from analysis.paper.conclusions import CONCLUSIONS, MEAN_MARGIN
from analysis.questions.compare_counts import RATE_MARGIN
from analysis.report.attack_names import attack_name
from analysis.report.context import ReportContext
from analysis.report.formatting import NOTHING, format_ends
from analysis.report.sections.base import Section
from analysis.report.tables.text_table import TextTable
from analysis.statistics.intervals import Interval


def paper_sections(context: ReportContext) -> list[Section]:
    """One section; none if no cell has a published counterpart. The earlier sweep gives the other rows of Table 3."""
    level, names = context.level, context.cell_names
    counts = compare_with_paper(context.counted, level)
    earlier = context.earlier.compared if context.earlier else ()
    means = [*compare_means(earlier, level), *compare_means(context.counted, level)]
    if not counts and not means:
        return []
    shared = set.intersection(*map(set, [c.differences for c in counts] + [row.differences for row in means]))
    tables = [_count_table(counts, names, shared, level)] if counts else []
    return [
        Section(
            "paper",
            "Comparison with the paper",
            "Counts and means of this sweep beside those of the TRADES instability paper. Both are counted by the "
            "paper's rule: a trial is unstable if its PGD accuracy is at least 8 points above Square's. "
            f"Differences in the set-up that all cells have: {', '.join(sorted(shared)) or 'none'}.",
            tables=[*tables, *(_mean_table(row, names, shared, level) for row in means)],
            note=_note({c.conclusion for c in counts} | {v.conclusion for row in means for v in row.values}, means),
        )
    ]


def _note(conclusions: Iterable[str | None], means: Sequence[RowComparison]) -> str:
    found = set(conclusions)
    text = "; ".join(f"{name}: {meaning}" for name, meaning in CONCLUSIONS.items() if name in found)
    if text:
        text += (
            f". Margins: {100 * RATE_MARGIN:.0f} points for rates, {100 * MEAN_MARGIN:.0f} points for mean accuracies. "
        )
        text += "Tests are not corrected for multiple testing. "
    if means:
        text += (
            "Means: test images, mean ± sample standard deviation (number of trials). The paper does not say which "
            "kind of deviation it prints, nor on which images it measured PGD-10. Gap: PGD minus AutoAttack. "
            "Difference: here minus paper, with Welch's t-test."
        )
    return text


def _count_table(counts: Sequence[Comparison], names: Mapping[str, str], shared: set[str], level: float) -> TextTable:
    return TextTable(
        ("unstable trials of", "paper's table", "conclusion", "other differences", "here", "paper", "difference", "p"),
        [_count_row(comparison, names[comparison.cell_id], shared) for comparison in counts],
        4,
        f"{100 * level:g} % Clopper–Pearson intervals; difference: points, here minus paper, melded. p: Boschloo's "
        "exact test that both counts come from the same probability.",
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
        _points(comparison.difference) if comparison.n else NOTHING,
        f"{comparison.p_value:.2g}" if comparison.n else NOTHING,
    ]


def _points(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:+.0f} to {100 * ends[1]:+.0f}"


def _count(k: int, n: int, interval: Interval) -> str:
    return f"{k}/{n} [{format_ends(interval)} %]"


def _mean_table(row: RowComparison, names: Mapping[str, str], shared: set[str], level: float) -> TextTable:
    paper = row.paper
    where = names.get(row.cell_id) or f"sweep {row.sweep}"
    besides = _besides(row.differences, shared)
    return TextTable(
        (f"Table {paper.table}, {paper.name}", "conclusion", "here", "paper", f"difference, {100 * level:g} %", "p"),
        [_mean_row(value, paper.n if paper.n_printed else None) for value in row.values],
        2,
        f"{where}: {row.trials} {'trials' if paper.trials == 'all' else f'{paper.trials} trials'}, "
        f"{paper.checkpoint} checkpoint." + (f" Other differences: {besides}." if besides else ""),
    )


def _mean_row(value: ValueComparison, paper_n: int | None) -> list[str]:
    test, paper = value.test, value.paper
    deviation = "" if paper.deviation is None else f" ± {paper.deviation:.4f}"
    return [
        "Gap" if value.value == "gap" else attack_name(value.value),
        value.conclusion or value.why,
        f"{value.ours} ({value.ours.trials})" if value.ours else NOTHING,
        f"{paper.mean:.4f}{deviation} ({paper_n or '?'})",
        f"{test.difference:+.4f} [{test.low:+.4f}, {test.high:+.4f}]" if test else NOTHING,
        f"{test.p_value:.2g}" if test else NOTHING,
    ]


def _besides(differences: Sequence[str], shared: set[str]) -> str:
    return ", ".join(difference for difference in differences if difference not in shared)
