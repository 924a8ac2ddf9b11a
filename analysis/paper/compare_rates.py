"""Comparison of a sweep's rates with the published ones, with the differences in the set-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any

from analysis.paper.conclusions import Conclusion, conclude
from analysis.paper.tables import PaperCell, paper_cells, paper_tables
from analysis.questions.compare_counts import Count, can_conclude, different, equivalent
from analysis.questions.effects import exact_test
from analysis.questions.rates import group_by_cell, has_label, selected_accuracy
from analysis.statistics.intervals import Interval, clopper_pearson
from analysis.statistics.rate_difference import difference_ends
from core.records import TrialRecord
from core.verdict import reaches

MATCHED = ("dataset", "method", "beta", "batch_size", "lr", "schedule", "inner", "heal", "awp_radius")
"""Options that identify the published counterpart of a cell; differences in other options are listed."""


@dataclass(frozen=True)
class Comparison:
    """One cell of a sweep compared with a published cell. Intervals are Clopper-Pearson."""

    cell_id: str
    paper: PaperCell
    k: int
    """Number of the cell's trials that are unstable by the paper's rule."""
    n: int
    """Number of the cell's trials that the rule can judge."""
    interval: Interval
    paper_interval: Interval
    p_value: float
    """`exact_test` that both counts come from the same probability; one test for each cell, not corrected."""
    difference: tuple[float, float]
    """Ends of the interval of the rate here minus the paper's."""
    differences: list[str]
    """Differences in the set-up, such as ``epochs 50 (paper: 200)``."""
    conclusion: Conclusion


def compare_with_paper(records: Sequence[TrialRecord], level: float = 0.95) -> list[Comparison]:
    """One comparison for each pair of a cell and its published counterpart; cells without a counterpart have none.

    Trials are counted by the paper's own rule: the PGD minus Square accuracy of the selected checkpoint on test images
    is at least 0.08. Catastrophic overfitting, FOSC alarms and the last checkpoint do not count. A cell is reproduced
    if two one-sided tests at 1 - level find that the rates differ by less than `RATE_MARGIN`, with the paper's set-up.
    """
    comparisons = []
    for cell_id, group in group_by_cell(records).items():
        labels = [label for record in group if (label := unstable_by_rule(record)) is not None]
        k, n = sum(labels), len(labels)
        for cell in paper_cells():
            if not is_setting(group[0], cell.options):
                continue
            ours, theirs = (k, n), (cell.k, cell.n)
            differences = [*option_differences(group, cell.options), *verdict_differences(group[0])]
            comparisons.append(
                Comparison(
                    cell_id=cell_id,
                    paper=cell,
                    k=k,
                    n=n,
                    interval=clopper_pearson(k, n, level),
                    paper_interval=clopper_pearson(cell.k, cell.n, level),
                    p_value=exact_test(ours, theirs) if n else 1.0,
                    difference=difference_ends(ours, theirs, level),
                    differences=differences,
                    conclusion=_conclude(ours, theirs, level, same_setup=not differences),
                )
            )
    return comparisons


def _conclude(ours: Count, theirs: Count, level: float, *, same_setup: bool) -> Conclusion:
    n = ours[1]
    if not n:
        return "no trials"
    return conclude(
        different=different(ours, theirs, level),
        equivalent=equivalent(ours, theirs, level),
        same_setup=same_setup,
        possible=can_conclude(n, theirs, level),
    )


def unstable_by_rule(record: TrialRecord) -> bool | None:
    """Whether the trial is unstable by the paper's rule, see `compare_with_paper`; None if it was not measured."""
    pgd, square = selected_accuracy(record, "pgd-10"), selected_accuracy(record, "square")
    if has_label(record, "any") is None or pgd is None or square is None:
        return None
    return reaches(pgd - square, paper_tables()["rule"]["gap"])


def is_setting(record: TrialRecord, options: dict[str, Any]) -> bool:
    """Whether the trial's cell is the counterpart of a published setting."""
    return all(_same(record.cell.get(name), options[name]) for name in MATCHED)


def option_differences(group: Sequence[TrialRecord], options: dict[str, Any]) -> list[str]:
    """Differences between the options of one cell and a published setting, and the number of trials stopped early."""
    found = [
        f"{name} {group[0].cell.get(name)} (paper: {value})"
        for name, value in options.items()
        if not _same(group[0].cell.get(name), value)
    ]
    stopped = sum(record.stopped_early for record in group)
    return [*found, f"{stopped} of {len(group)} trials stopped early (paper: none)"] if stopped else found


def verdict_differences(ours: TrialRecord) -> list[str]:
    """Differences between the attacks of the trial's verdict and the paper's."""
    rule, usual = paper_tables()["rule"], paper_tables()["verdict"]
    steps = ours.protocol["eval_steps"]
    found = [] if steps == rule["pgd_steps"] else [f"eval_steps {steps} (paper: {rule['pgd_steps']})"]
    return found + [
        f"{option} {ours.protocol[option]} (paper, not printed but usual: {usual[name]})"
        for name, option in [("square_queries", "square_queries"), ("images", "verdict_images")]
        if ours.protocol[option] < usual[name]
    ]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return isclose(one, other, rel_tol=1e-6)
    return bool(one == other)
