"""From records of trials to one row per cell: k of n unstable, with an interval and what it cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from analysis.questions.autoattack_gap import GAP, autoattack_result
from analysis.statistics import intervals
from analysis.statistics.clustered_interval import clustered
from analysis.statistics.intervals import Interval, IntervalKind
from analysis.statistics.means import MeanStd
from core.records import TrialRecord, varying_options

Label = Literal["any", "overestimation", "onset", "catastrophic", "ever"]
LABEL_QUESTIONS: dict[Label, str] = {
    "any": "How likely is a trial unstable at its end?",
    "overestimation": "How likely does PGD overestimate robustness (Square is far lower) at the end?",
    "onset": "How likely does the detector raise an alarm at any time?",
    "catastrophic": "How likely does training overfit catastrophically to one-step attacks by the end?",
    "ever": "How likely is a trial unstable at any time, also if it heals later?",
}


@dataclass(frozen=True)
class CellRate:
    """One cell: how many trials ended how, the rate of the asked label, and cost. Accuracies are in [0, 1].

    Accuracies are means over the counted trials' selected checkpoints on test images; None where none was measured.
    """

    cell_id: str
    factors: dict[str, Any]
    """Only the options that vary in the sweep."""
    label: Label
    unstable: int
    """Counted trials for which the label holds."""
    trials: int
    """Finished trials that were not censored and have the label."""
    censored: int
    """Crashed, diverged, timed out, or ended without a measurement of the label."""
    running: int
    waiting: bool
    """Have trials of the cell not started yet?"""
    healed: int
    stopped: int
    """Trials that ended early on a confirmed alarm."""
    rate: float | None
    """unstable / trials; None without a counted trial."""
    interval: Interval
    clean_accuracy: float | None
    pgd10_accuracy: float | None
    pgd50_accuracy: float | None
    square_accuracy: float | None
    gap: float | None
    """Mean of PGD-10 minus Square accuracy."""
    autoattack: MeanStd | None
    """Accuracy under AutoAttack, over counted trials that `jobs/evaluate.py` attacked; None where there are none."""
    autoattack_gap: MeanStd | None
    """PGD-10 minus AutoAttack accuracy of the same trials, each on the same images: the gap of Tables 3, 5, 6 and 7."""
    epochs_run: int
    epochs_saved: int
    """Planned epochs that stopped trials did not run."""
    device_seconds: float
    device_seconds_saved: float
    """What these epochs would have cost at the trial's own pace."""


def cell_rates(
    records: Sequence[TrialRecord],
    label: Label = "any",
    level: float = 0.95,
    interval: IntervalKind = "wilson",
) -> list[CellRate]:
    """One `CellRate` per cell, ordered by the varying options. Running trials count only under `running` and cost.

    Raises:
        ValueError: `label`, `level` or `interval` is not one of those allowed.
    """
    if label not in LABEL_QUESTIONS:
        raise ValueError(f"label {label!r} must be one of {', '.join(LABEL_QUESTIONS)}")
    names = varying_factors(records)
    return [
        _cell_rate(group, {name: group[0].cell.get(name) for name in names}, label, level, interval)
        for group in group_by_cell(records).values()
    ]


def group_by_cell(records: Sequence[TrialRecord]) -> dict[str, list[TrialRecord]]:
    """Records by cell id; cells ordered by their varying options, trials by seed."""
    names = varying_factors(records)
    groups: dict[str, list[TrialRecord]] = {}
    for record in sorted(records, key=lambda r: r.seed):
        groups.setdefault(record.cell_id, []).append(record)
    return dict(sorted(groups.items(), key=lambda item: [_sort_key(item[1][0].cell.get(n)) for n in names] + [item[0]]))


def varying_factors(records: Sequence[TrialRecord]) -> list[str]:
    """Names of the cell options with more than one value among `records`, in the cell's own order."""
    return varying_options({record.cell_id: record.cell for record in records}.values())


def has_label(record: TrialRecord, label: Label) -> bool | None:
    """Does the label hold? None for a running or censored trial, and where it was not measured."""
    verdict = record.verdict
    if record.status == "running" or verdict is None or verdict.outcome == "censored":
        return None
    match label:
        case "any":
            return verdict.outcome == "unstable"
        case "onset":
            return verdict.onset
        case "ever":
            return verdict.onset or verdict.outcome == "unstable"
        case "overestimation":
            return verdict.overestimation
        case "catastrophic":
            return verdict.catastrophic


def pinned_groups(records: Sequence[TrialRecord], holds: Callable[[TrialRecord], bool]) -> list[tuple[int, int]]:
    """(k, m) for each group of trials that share pinned seeds: of its m trials, k for which ``holds`` is true.

    A trial without pins is a group of its own.
    """
    groups: dict[tuple, list[bool]] = {}
    for record in records:
        group = tuple(sorted(record.pins.items())) or (record.seed,)
        groups.setdefault(group, []).append(holds(record))
    return [(sum(held), len(held)) for held in groups.values()]


def selected_accuracy(record: TrialRecord, attack: str) -> float | None:
    """Accuracy of the selected checkpoint on test images under `attack`; None where it was not measured."""
    for evidence in record.verdict.evidence if record.verdict else ():
        for measured in evidence.measurements:
            if evidence.checkpoint == "selected" and measured.split == "test" and measured.attack == attack:
                return measured.accuracy
    return None


def epochs_saved(record: TrialRecord) -> int:
    """Planned epochs that a stopped trial did not run; 0 for others, since a crash saves nothing."""
    return record.epochs_planned - record.epochs_run if record.stopped_early else 0


def device_seconds_saved(record: TrialRecord) -> float:
    """What the saved epochs would have cost at the trial's own mean pace."""
    return record.device_seconds * epochs_saved(record) / record.epochs_run if record.epochs_run else 0.0


def _cell_rate(
    group: list[TrialRecord], factors: dict[str, Any], label: Label, level: float, kind: IntervalKind
) -> CellRate:
    counted = [record for record in group if has_label(record, label) is not None]
    unstable = sum(has_label(record, label) is True for record in counted)
    unfinished = [record for record in group if record.status == "running"]
    running = sum(record.attempts > 0 for record in unfinished)
    accuracies = {attack: [selected_accuracy(r, attack) for r in counted] for attack in ("pgd-10", "square")}
    gaps = [p - s for p, s in zip(*accuracies.values(), strict=True) if p is not None and s is not None]
    attacked = [found.accuracies for record in counted if (found := autoattack_result(record))]
    return CellRate(
        cell_id=group[0].cell_id,
        factors=factors,
        label=label,
        unstable=unstable,
        trials=len(counted),
        censored=len(group) - len(counted) - len(unfinished),
        running=running,
        waiting=running < len(unfinished),
        healed=sum(record.verdict is not None and record.verdict.outcome == "healed" for record in group),
        stopped=sum(record.stopped_early for record in group),
        rate=unstable / len(counted) if counted else None,
        interval=clustered(pinned_groups(counted, lambda record: has_label(record, label) is True), level)
        if kind == "clustered"
        else intervals.interval(kind, unstable, len(counted), level),
        clean_accuracy=_mean([selected_accuracy(r, "clean") for r in counted]),
        pgd10_accuracy=_mean(accuracies["pgd-10"]),
        pgd50_accuracy=_mean([selected_accuracy(r, "pgd-50x5") for r in counted]),
        square_accuracy=_mean(accuracies["square"]),
        gap=_mean(gaps),
        autoattack=MeanStd.of([found["autoattack"] for found in attacked]) if attacked else None,
        autoattack_gap=MeanStd.of([found[GAP] for found in attacked]) if attacked else None,
        epochs_run=sum(record.epochs_run for record in group),
        epochs_saved=sum(epochs_saved(record) for record in group),
        device_seconds=sum(record.device_seconds for record in group),
        device_seconds_saved=sum(device_seconds_saved(record) for record in group),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _sort_key(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return (not number, float(value) if number else 0.0, json.dumps(value))
