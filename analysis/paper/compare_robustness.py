"""A sweep's accuracies and measures beside those that ISEAT and SEAT print for the same setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose, sqrt
from typing import Any

from analysis.paper.compare_means import FROM_VERDICT
from analysis.paper.compare_values import ValueComparison, compare_value
from analysis.paper.robustness_tables import USED, PublishedRow, published_rows
from analysis.paper.tables import Published
from analysis.questions.autoattack_gap import autoattack_result
from analysis.questions.rates import group_by_cell
from analysis.statistics.means import MeanDifference, MeanStd
from core.config.over_epochs import OverEpochs, is_over_epochs
from core.records import Measurement, TrialRecord

TRANSFER = "transfer-"
TEST_IMAGES = 10_000
"""Test images of CIFAR and Tiny-ImageNet; both papers attack all of them."""


@dataclass(frozen=True)
class SettingComparison:
    """The trials of one cell beside a published row of the same setting."""

    cell_id: str
    paper: PublishedRow
    trials: int
    differences: list[str]
    """Differences in the set-up and in the evaluation, such as ``epochs 50 (paper: 200)``."""
    values: list[ValueComparison]


def compare_robustness(records: Sequence[TrialRecord], level: float = 0.95) -> list[SettingComparison]:
    """One comparison for each cell and each published row of its setting.

    Accuracies come from `jobs/evaluate.py` or, without it, from the verdicts. Where the paper prints a deviation, both
    means are compared by Welch's t-test and by two one-sided tests of equivalence (`compare_value`). Where it
    prints a single number, as SEAT always does, the interval has only the deviation of this sweep, and there is no
    conclusion. Censored trials are left out.
    """
    found = []
    for cell_id, group in group_by_cell(records).items():
        members = [r for r in group if r.verdict is not None and r.verdict.outcome != "censored"]
        found += [
            _compare(cell_id, members, row, level)
            for row in published_rows()
            if members and is_setting(members[0].cell, row)
        ]
    return found


def is_setting(cell: dict[str, Any], row: PublishedRow) -> bool:
    """Whether a cell is of the published setting, apart from options that `SettingComparison.differences` lists."""
    return all(_same(cell.get(name), row.options[name]) for name in row.own)


def _compare(cell_id: str, members: Sequence[TrialRecord], row: PublishedRow, level: float) -> SettingComparison:
    differences = [
        f"{name} {members[0].cell.get(name)} (paper: {value})"
        for name, value in row.options.items()
        if not _same(members[0].cell.get(name), value)
    ]
    if stopped := sum(record.stopped_early for record in members):
        differences.append(f"{stopped} of {len(members)} trials stopped early (paper: none)")
    if row.quoted:
        differences.append("the paper quotes this row, whose set-up it does not give")
    values = []
    for name, published in row.values.items():
        known = [value for record in members if (value := _value(record, row, name)) is not None]
        images = [count for record in members if (count := _images(record, row, name)) is not None]
        fewer = [f"{name}: {min(images)} images (paper: all)"] if images and min(images) < TEST_IMAGES else []
        differences += [text for text in fewer if text not in differences]
        ours = MeanStd.of(known) if known else None
        values.append(_set_beside(name, ours, published, row, level, same_setup=not differences))
    return SettingComparison(cell_id, row, len(members), differences, values)


def _set_beside(
    name: str, ours: MeanStd | None, published: Published, row: PublishedRow, level: float, *, same_setup: bool
) -> ValueComparison:
    if ours is None:
        return ValueComparison(name, None, published, None, None, "not measured here")
    if ours.deviation is None:
        return ValueComparison(name, ours, published, None, None, "a single trial here")
    if published.deviation is None or row.runs is None:
        why = "no deviation in the paper: the interval has only ours"
        return ValueComparison(name, ours, published, _from_number(ours, published.mean, level), None, why)
    return compare_value(name, ours, published, row.runs, level, same_setup=same_setup)


def _from_number(ours: MeanStd, number: float, level: float) -> MeanDifference | None:
    """The t-interval of our mean minus a published number, whose own error is unknown."""
    from scipy.stats import t as student  # as in `analysis.statistics.means`

    assert ours.deviation is not None
    error = ours.deviation / sqrt(ours.trials)
    difference = ours.mean - number
    if error == 0:
        return None
    half = float(student.ppf((1 + level) / 2, ours.trials - 1)) * error
    p_value = 2 * float(student.sf(abs(difference) / error, ours.trials - 1))
    return MeanDifference(difference, difference - half, difference + half, p_value)


def _value(record: TrialRecord, row: PublishedRow, name: str) -> float | None:
    if name == "robust-overfitting":
        best, end = (_autoattack(record, checkpoint) for checkpoint in ("selected", "last"))
        return None if best is None or end is None else best.accuracy - end.accuracy
    if "/" in name:
        measure, _, value = name.partition("/")
        found = record.measured(row.checkpoint, measure)
        return found.values.get(value) if found else None
    measured = _measurement(record, row, name)
    return measured.accuracy if measured else None


def _images(record: TrialRecord, row: PublishedRow, name: str) -> int | None:
    if name == "robust-overfitting" or "/" in name:
        return None
    measured = _measurement(record, row, name)
    return measured.images if measured else None


def _autoattack(record: TrialRecord, checkpoint: Any) -> Measurement | None:
    found = autoattack_result(record, checkpoint)
    return found.evidence.measurement(found.kind) if found else None


def _measurement(record: TrialRecord, row: PublishedRow, attack: str) -> Measurement | None:
    if attack == "autoattack":
        return _autoattack(record, row.checkpoint)
    if attack.startswith(TRANSFER):
        return _transferred(record, row, attack.removeprefix(TRANSFER))
    if evidence := record.evaluation(row.checkpoint, attack):
        return evidence.measurement(attack)
    for evidence in record.verdict.evidence if record.verdict else ():
        if evidence.checkpoint == row.checkpoint and attack in FROM_VERDICT:
            return next((m for m in evidence.measurements if m.attack == attack), None)
    return None


def _transferred(record: TrialRecord, row: PublishedRow, network: str) -> Measurement | None:
    """The latest transfer attack that was made on a network of the published name."""
    found = [
        m
        for evidence in record.evaluations
        for m in evidence.measurements
        if evidence.checkpoint == row.checkpoint and m.attack.startswith(TRANSFER) and f" from {network}-" in m.attack
    ]
    return found[-1] if found else None


def _same(here: Any, published: Any) -> bool:
    if published == USED:
        return bool(here)
    if isinstance(here, str) and not isinstance(published, str) and is_over_epochs(here):
        here = OverEpochs.parse(here).values[-1]
    if isinstance(here, int | float) and isinstance(published, int | float):
        return isclose(here, published, rel_tol=1e-6, abs_tol=1e-12)
    return bool(here == published)
