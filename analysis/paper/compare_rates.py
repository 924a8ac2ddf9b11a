"""Our rates beside the published ones, cell by cell, with what differs in the set-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any, Literal

from analysis.paper.tables import PaperCell, paper_cells, paper_tables
from analysis.questions.effects import exact_test
from analysis.questions.rates import group_by_cell, has_label, selected_accuracy
from analysis.statistics.intervals import Interval, clopper_pearson
from core.records import TrialRecord

Conclusion = Literal["reproduced", "consistent", "differs", "no trials"]
CONCLUSIONS: dict[Conclusion, str] = {
    "reproduced": "same set-up, at least the paper's trials, no evidence against the same probability or mean",
    "consistent": "no evidence against it, but fewer trials than the paper, or another set-up",
    "differs": "probabilities or means are hardly the same",
    "no trials": "no finished trial yet",
}
MATCHED = ("dataset", "method", "beta", "batch_size", "lr", "schedule", "inner", "heal", "awp_radius")
"""Options that say which published cell one of ours is; differences in others are listed, not hidden."""


@dataclass(frozen=True)
class Comparison:
    """One of our cells against one published cell. Intervals are Clopper-Pearson."""

    cell_id: str
    paper: PaperCell
    k: int
    """Our trials that are unstable by the paper's rule."""
    n: int
    interval: Interval
    paper_interval: Interval
    p_value: float
    """`exact_test` that both counts come from one probability; one test per cell, uncorrected."""
    differences: list[str]
    """What differs in the set-up, ours against the paper's."""
    conclusion: Conclusion


def compare_with_paper(records: Sequence[TrialRecord], level: float = 0.95) -> list[Comparison]:
    """Compare each of our cells that has a published counterpart; others (other data sets, ...) are left out.

    Counted is the paper's own rule: PGD-10 minus Square accuracy at least 0.08 at the selected checkpoint, on test
    images; neither catastrophic overfitting, nor FOSC alarms, nor the last checkpoint. A cell counts as reproduced only
    with at least the paper's number of trials and the paper's set-up.
    """
    comparisons = []
    for cell_id, group in group_by_cell(records).items():
        labels = [label for record in group if (label := unstable_by_rule(record)) is not None]
        k, n = sum(labels), len(labels)
        for cell in paper_cells():
            if not is_setting(group[0], cell.options):
                continue
            p_value = exact_test((k, n), (cell.k, cell.n)) if n else 1.0
            differences = [*option_differences(group, cell.options), *verdict_differences(group[0])]
            comparisons.append(
                Comparison(
                    cell_id=cell_id,
                    paper=cell,
                    k=k,
                    n=n,
                    interval=clopper_pearson(k, n, level),
                    paper_interval=clopper_pearson(cell.k, cell.n, level),
                    p_value=p_value,
                    differences=differences,
                    conclusion=_conclude(n, cell.n, p_value, level, same_setup=not differences),
                )
            )
    return comparisons


def _conclude(n: int, paper_n: int, p_value: float, level: float, *, same_setup: bool) -> Conclusion:
    if not n:
        return "no trials"
    if p_value < 1 - level:
        return "differs"
    return "reproduced" if n >= paper_n and same_setup else "consistent"


def unstable_by_rule(record: TrialRecord) -> bool | None:
    """Is PGD-10 minus Square accuracy of the selected checkpoint as large as the paper asks? None: not measured."""
    pgd, square = selected_accuracy(record, "pgd-10"), selected_accuracy(record, "square")
    if has_label(record, "any") is None or pgd is None or square is None:
        return None
    # 0.30 - 0.22 is a little under 0.08 in binary floating point: the published rule is >=
    return pgd - square >= paper_tables()["rule"]["gap"] - 1e-9


def is_setting(record: TrialRecord, options: dict[str, Any]) -> bool:
    """Is the trial's cell the counterpart of a published setting?"""
    return all(_same(record.cell.get(name), options[name]) for name in MATCHED)


def option_differences(group: Sequence[TrialRecord], options: dict[str, Any]) -> list[str]:
    """What differs between trials of one cell and a published setting, and which of them the paper would not have."""
    found = [
        f"{name} {group[0].cell.get(name)} (paper: {value})"
        for name, value in options.items()
        if not _same(group[0].cell.get(name), value)
    ]
    stopped = sum(record.stopped_early for record in group)
    return [*found, f"{stopped} of {len(group)} trials stopped early (paper: none)"] if stopped else found


def verdict_differences(ours: TrialRecord) -> list[str]:
    """Where our verdicts rest on less than the paper's presumably do."""
    usual = paper_tables()["verdict"]
    return [
        f"{option} {ours.protocol[option]} (paper, not printed but usual: {usual[name]})"
        for name, option in [("square_queries", "square_queries"), ("images", "verdict_images")]
        if ours.protocol[option] < usual[name]
    ]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return isclose(one, other, rel_tol=1e-6)
    return bool(one == other)
