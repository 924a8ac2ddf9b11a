"""The cells of the sweep beside the tables of ISEAT and SEAT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.paper.compare_robustness import SettingComparison, compare_robustness
from analysis.paper.compare_values import ValueComparison
from analysis.paper.conclusions import CONCLUSIONS, MEAN_MARGIN
from analysis.paper.robustness_tables import published_papers
from analysis.report.attack_names import attack_name
from analysis.report.context import ReportContext
from analysis.report.formatting import NOTHING
from analysis.report.sections.base import Section
from analysis.report.tables.measure_table import COLUMNS, TITLES
from analysis.report.tables.text_table import TextTable

NAMES = {
    "robust-overfitting": "Robust overfitting (AutoAttack, best minus end)",
    "robust": "Attack that is not named",
    "pgd": "PGD with unknown steps",
}
"""Names of published values that are not attacks of this project."""


def published_sections(context: ReportContext) -> list[Section]:
    """One section for each of the two papers that has a setting of the sweep."""
    found = compare_robustness(context.counted, context.level)
    papers = dict.fromkeys(comparison.paper.paper for comparison in found)
    return [_section([c for c in found if c.paper.paper == paper], paper, context) for paper in papers]


def _section(found: Sequence[SettingComparison], name: str, context: ReportContext) -> Section:
    paper = published_papers()[name]
    text = f"Means of this sweep beside those of {paper.source}. That paper selects {paper.selection}. "
    text += (
        "Its best checkpoints are therefore a little flattered; this sweep selects on validation images."
        if paper.selects_on_test
        else "It prints no deviations, and each number is taken as a single run."
    )
    tables = {c.paper.table for c in found}
    conflicts = [conflict for conflict in paper.conflicts if any(f"Table {table}" in conflict for table in tables)]
    contradictions = f" Where the paper contradicts itself: {'; '.join(conflicts)}." if conflicts else ""
    return Section(
        f"published-{name.lower()}",
        f"Comparison with {name}",
        text,
        tables=[_table(comparison, context.cell_names, context.level) for comparison in found],
        note=_note(found) + contradictions,
    )


def _note(found: Sequence[SettingComparison]) -> str:
    conclusions = {value.conclusion for comparison in found for value in comparison.values}
    text = "; ".join(f"{name}: {meaning}" for name, meaning in CONCLUSIONS.items() if name in conclusions)
    margin = f"Margin for mean accuracies: {100 * MEAN_MARGIN:.0f} points. " if text else ""
    return (
        f"{text}{'. ' if text else ''}{margin}Mean ± sample standard deviation (number of trials); difference: here "
        "minus paper. Tests are not corrected for multiple testing."
    )


def _table(comparison: SettingComparison, names: Mapping[str, str], level: float) -> TextTable:
    paper = comparison.paper
    besides = f" Differences: {', '.join(comparison.differences)}." if comparison.differences else ""
    return TextTable(
        (f"Table {paper.table}, {paper.name}", "conclusion", "here", "paper", f"difference, {100 * level:g} %", "p"),
        [_line(value, paper.runs) for value in comparison.values],
        2,
        f"{names.get(comparison.cell_id, comparison.cell_id)}: {comparison.trials} trials, {paper.checkpoint} "
        f"checkpoint.{besides}",
    )


def _line(value: ValueComparison, runs: int | None) -> list[str]:
    test, paper = value.test, value.paper
    deviation = "" if paper.deviation is None else f" ± {paper.deviation:.4f}"
    return [
        _name(value.value),
        value.conclusion or value.why,
        f"{value.ours} ({value.ours.trials})" if value.ours else NOTHING,
        f"{paper.mean:.4f}{deviation} ({runs if runs and paper.deviation is not None else 1})",
        f"{test.difference:+.4f} [{test.low:+.4f}, {test.high:+.4f}]" if test else NOTHING,
        f"{test.p_value:.2g}" if test and value.conclusion else NOTHING,
    ]


def _name(value: str) -> str:
    measure, slash, part = value.partition("/")
    if slash and measure in TITLES:
        return f"{TITLES[measure]}, {COLUMNS[measure].get(part, part)}"
    return NAMES.get(value) or attack_name(value)
