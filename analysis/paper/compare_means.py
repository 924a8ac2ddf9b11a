"""Our accuracies and gaps beside the published means: Tables 1, 3, 5, 6 and 7, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.paper.compare_rates import (
    is_setting,
    option_differences,
    unstable_by_rule,
    verdict_differences,
)
from analysis.paper.compare_values import ValueComparison, compare_value
from analysis.paper.tables import PaperRow, Published, paper_rows, paper_tables
from analysis.questions.autoattack_gap import AutoAttackResult, autoattack_result
from analysis.questions.rates import group_by_cell, has_label
from analysis.statistics.means import MeanStd
from core.records import TrialRecord

FROM_VERDICT = ("clean", "pgd-10", "square")
"""Attacks that the verdicts of trials measure."""


@dataclass(frozen=True)
class RowComparison:
    """Trials of one cell compared with a published row."""

    sweep: str
    cell_id: str
    paper: PaperRow
    trials: int
    differences: list[str]
    """Differences in the set-up and in the evaluation, such as ``epochs 50 (paper: 200)``."""
    values: list[ValueComparison]


def compare_means(records: Sequence[TrialRecord], level: float = 0.95) -> list[RowComparison]:
    """One comparison for each cell and each published row of its setting that some of its trials belong to.

    All means of a comparison are of the same trials and images: of the trials that `jobs/evaluate.py` attacked with
    AutoAttack or, without such trials, of all trials as their verdicts measured them. `compare_value` says when one is
    reproduced. The published deviations are assumed to be sample standard deviations, which the paper does not say. It
    does not say either whether its PGD-10 accuracies are of validation or of test images; those of a sweep are of test
    images.
    """
    comparisons = []
    for cell_id, group in group_by_cell(records).items():
        for row in paper_rows():
            members = [record for record in group if _belongs(record, row)]
            if members and is_setting(members[0], row.options):
                comparisons.append(_compare(cell_id, members, row, level))
    return comparisons


def _belongs(record: TrialRecord, row: PaperRow) -> bool:
    if has_label(record, "any") is None:
        return False
    return row.trials == "all" or unstable_by_rule(record) is (row.trials == "unstable")


def _compare(cell_id: str, members: Sequence[TrialRecord], row: PaperRow, level: float) -> RowComparison:
    attacked = [(record, found) for record in members if (found := autoattack_result(record, row.checkpoint))]
    members = [record for record, _ in attacked] or members
    measured = [found.accuracies for _, found in attacked] or [_from_verdict(record, row) for record in members]
    differences = [*option_differences(members, row.options), *_evaluation_differences([e for _, e in attacked])]
    if not attacked or row.trials != "all":
        differences += verdict_differences(members[0])
    if not row.n_printed and row.n is not None:
        differences.append(f"the paper prints no number of trials: {row.n} is what Table 2 has of this setting")
    values = []
    for name, published in row.values.items():
        known = [accuracies[name] for accuracies in measured if name in accuracies]
        ours = MeanStd.of(known) if known else None
        values.append(_value(name, ours, published, row, level, same_setup=not differences))
    return RowComparison(members[0].sweep, cell_id, row, len(members), differences, values)


def _value(
    name: str, ours: MeanStd | None, published: Published, row: PaperRow, level: float, *, same_setup: bool
) -> ValueComparison:
    why = _untestable(name, ours, published, row)
    if why or ours is None or row.n is None:
        return ValueComparison(name, ours, published, None, None, why)
    return compare_value(name, ours, published, row.n, level, same_setup=same_setup)


def _untestable(name: str, ours: MeanStd | None, published: Published, row: PaperRow) -> str:
    if ours is None:
        return "not measured here" if name in FROM_VERDICT else "not evaluated here (jobs/evaluate.py)"
    if published.deviation is None:
        return "cannot be compared: a single run in the paper"
    if row.n is None:
        return "cannot be compared: the paper prints no number of trials"
    if ours.deviation is None:
        return "cannot be compared: a single trial here"
    return ""


def _from_verdict(record: TrialRecord, row: PaperRow) -> dict[str, float]:
    for evidence in record.verdict.evidence if record.verdict else ():
        if evidence.checkpoint == row.checkpoint:
            return {m.attack: m.accuracy for m in evidence.measurements if m.attack in FROM_VERDICT}
    return {}


def _evaluation_differences(attacked: Sequence[AutoAttackResult]) -> list[str]:
    usual = paper_tables()["verdict"]
    summaries = [m for found in attacked for m in found.evidence.measurements if m.attack == found.kind]
    budgets = {
        "images": ({m.images for m in summaries}, usual["images"]),
        "AutoAttack steps": ({m.steps for m in summaries if m.steps}, usual["steps"]),
        "AutoAttack queries": ({m.queries for m in summaries if m.queries}, usual["square_queries"]),
    }
    differences = [
        f"{name} {' or '.join(map(str, sorted(here)))} (paper, not printed but usual: {there})"
        for name, (here, there) in budgets.items()
        if here and min(here) < there
    ]
    kinds = sorted({found.kind for found in attacked})
    return [*differences, f"AutoAttack is {' or '.join(kinds)}"] if len(kinds) > 1 else differences
