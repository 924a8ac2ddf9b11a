"""The rate of unstable trials in each cell of a sweep, with its interval, mean accuracies and cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from analysis.questions.attack_labels import attack_labels
from analysis.questions.autoattack_gap import GAP, autoattack_result
from analysis.questions.square_labels import is_overestimated_by
from analysis.statistics import intervals
from analysis.statistics.clustered_interval import CLUSTERED, of_groups
from analysis.statistics.intervals import Interval, IntervalKind
from analysis.statistics.means import MeanStd
from core.allocation import SequentialDesign
from core.config.naming import TrialNames, coupled_factors, naming_options, setting_name
from core.records import Measurement, TrialRecord, varying_options

Label = Literal[
    "any", "overestimation", "overestimation-rescaled", "overestimation-autoattack", "onset", "catastrophic", "ever"
]
LABEL_QUESTIONS: dict[Label, str] = {
    "any": "How likely is a trial unstable at the end of training?",
    "overestimation": "How likely does PGD overestimate a trial's robustness (Square is far lower) when it ends or is "
    "stopped?",
    "overestimation-rescaled": "How likely does PGD overestimate a trial's robustness by the rescaled Square?",
    "overestimation-autoattack": "How likely does PGD overestimate a trial's robustness by AutoAttack's Square?",
    "onset": "How likely does a trial have an alarm of its detector at any time?",
    "catastrophic": "How likely is a trial catastrophically overfitted to one-step attacks when it ends or is stopped?",
    "ever": "How likely is a trial unstable at any time, also if it heals later?",
}
"""The question that the rate of each label answers."""


@dataclass(frozen=True)
class CellRate:
    """One cell: the outcomes of its trials, the rate of one label, and the cost.

    Accuracies are in [0, 1], means over the selected checkpoints of the counted trials on test images; None if no trial
    has a measurement.
    """

    cell_id: str
    setting: str
    """The name of the cell where no option varies, see `setting_name`."""
    factors: dict[str, Any]
    """The values of the options that vary in the sweep."""
    label: Label
    unstable: int
    """Number of counted trials for which the label is known to hold."""
    trials: int
    """Number of counted trials: finished and with a value of the label."""
    unknown: int
    """Number of counted trials whose label at the end of training is unknown, because they were stopped.

    If it is not 0, `rate` and `interval` are corrected by audited trials, see `displayed_rates`."""
    censored: int
    """Number of uncounted trials: they crashed, diverged, timed out, or ended without a measurement of the label."""
    running: int
    waiting: bool
    """Whether trials of the cell have not started yet."""
    healed: int
    stopped: int
    """Number of trials that were stopped early on a confirmed alarm."""
    rate: float | None
    """unstable / trials, or a corrected rate; None if it cannot be estimated."""
    interval: Interval
    clean_accuracy: float | None
    pgd10_accuracy: float | None
    pgd50_accuracy: float | None
    square_accuracy: float | None
    gap: float | None
    """Mean of PGD minus Square accuracy."""
    labels: dict[str, tuple[str, ...]]
    """Each attack on the selected checkpoints as it was run, by its key in a record; see `attack_labels`."""
    autoattack: MeanStd | None
    """Accuracy under AutoAttack over the counted trials that `jobs/evaluate.py` attacked; None if it attacked none."""
    autoattack_gap: MeanStd | None
    """PGD minus AutoAttack accuracy of the same trials, each on the same images: the gap of Tables 3, 5, 6 and 7."""
    epochs_run: int
    epochs_saved: int
    """Planned epochs that stopped trials did not run."""
    device_seconds: float
    device_seconds_saved: float
    """Device-seconds that these epochs would have cost at the pace of each trial's own epochs."""

    @property
    def censoring_bounds(self) -> tuple[float, float] | None:
        """The rates if the label held for no censored trial, and for every one; None without any trial."""
        n = self.trials + self.censored
        return (self.unstable / n, (self.unstable + self.unknown + self.censored) / n) if n else None


def cell_rates(
    records: Sequence[TrialRecord],
    label: Label = "any",
    level: float = 0.95,
    interval: IntervalKind = "blaker",
    design: SequentialDesign | None = None,
) -> list[CellRate]:
    """One `CellRate` for each cell, ordered by the options that vary. Running trials count in `running` and the cost.

    The kind ``sequential`` is the exact interval of `design` for the label *ever* in cells that have ended by this
    design, and the anytime interval elsewhere.

    Raises:
        ValueError: `label`, `level` or `interval` is not one of those allowed.
    """
    if label not in LABEL_QUESTIONS:
        raise ValueError(f"label {label!r} must be one of {', '.join(LABEL_QUESTIONS)}")
    names = varying_factors(records)
    return [
        _cell_rate(group, {name: group[0].cell.get(name) for name in names}, label, level, interval, design)
        for group in group_by_cell(records).values()
    ]


def group_by_cell(records: Sequence[TrialRecord]) -> dict[str, list[TrialRecord]]:
    """Records by cell id; cells ordered by their varying options, trials by seed."""
    names = varying_factors(records)
    groups: dict[str, list[TrialRecord]] = {}
    for record in sorted(records, key=lambda r: r.seed):
        groups.setdefault(record.cell_id, []).append(record)
    return dict(sorted(groups.items(), key=lambda item: [_sort_key(item[1][0].cell.get(n)) for n in names] + [item[0]]))


def naming_factors(records: Sequence[TrialRecord]) -> list[str]:
    """Names of the options that tell the cells of `records` apart, one of those that change together."""
    return naming_options([*{record.cell_id: record.cell for record in records}.values()])


def trial_names(records: Sequence[TrialRecord]) -> TrialNames:
    """The names of the trials of a sweep."""
    return TrialNames({record.cell_id: record.cell for record in records}.values())


def coupled_options(records: Sequence[TrialRecord]) -> dict[str, list[str]]:
    """The options that change exactly when another one does, by this one; see `core.config.naming.coupled_factors`."""
    names, cells = varying_factors(records), {record.cell_id: record.cell for record in records}.values()
    return coupled_factors([{name: cell.get(name) for name in names} for cell in cells])


def varying_factors(records: Sequence[TrialRecord]) -> list[str]:
    """Names of the cell options that vary among `records`, in the order of the cell's options."""
    return varying_options({record.cell_id: record.cell for record in records}.values())


def outcome(record: TrialRecord) -> str:
    """The verdict's outcome: ``stable``, ``unstable``, ``healed`` or ``censored``; ``running`` without a verdict."""
    return record.verdict.outcome if record.verdict else "running"


def has_label(record: TrialRecord, label: Label) -> bool | None:
    """Whether the label holds; None for a running trial and for a label that is not known.

    An onset that was seen before a trial was censored is known. All other labels of a censored trial are not.
    """
    verdict = record.verdict
    if record.status == "running" or verdict is None:
        return None
    if verdict.outcome == "censored":
        return True if verdict.onset and label in ("ever", "onset") else None
    match label:
        case "any":
            return verdict.outcome == "unstable"
        case "onset":
            return verdict.onset
        case "ever":
            return verdict.onset or verdict.outcome == "unstable"
        case "overestimation":
            return verdict.overestimation
        case "overestimation-rescaled":
            return is_overestimated_by(record, "rescaled")
        case "overestimation-autoattack":
            return is_overestimated_by(record, "autoattack")
        case "catastrophic":
            return verdict.catastrophic


def pinned_groups(records: Sequence[TrialRecord], holds: Callable[[TrialRecord], bool]) -> list[tuple[int, int]]:
    """(k, m) of each group of trials that share pinned seeds: `holds` is true for k of the group's m trials.

    A trial without pins is a group of its own.
    """
    groups: dict[tuple, list[bool]] = {}
    for record in records:
        group = tuple(sorted(record.pins.items())) or (record.seed,)
        groups.setdefault(group, []).append(holds(record))
    return [(sum(held), len(held)) for held in groups.values()]


def selected_accuracy(record: TrialRecord, attack: str) -> float | None:
    """Accuracy of the selected checkpoint on test images under the attack with this key; None if not measured."""
    return _selected_accuracies(record).get(attack)


def epochs_saved(record: TrialRecord) -> int:
    """Planned epochs that a stopped trial did not run; 0 for other trials, because a crash saves nothing."""
    return record.epochs_planned - record.epochs_run if record.stopped_early else 0


def device_seconds_saved(record: TrialRecord) -> float:
    """Device-seconds that the saved epochs would have cost at the mean pace of the trial's own epochs.

    A record of an earlier version does not have the time of its epochs. The trial's whole time takes its place, with
    the verdict, but without lost work.
    """
    spent = record.epoch_device_seconds
    if spent is None:
        spent = record.device_seconds - record.lost_device_seconds
    return spent * epochs_saved(record) / record.epochs_run if record.epochs_run else 0.0


def _cell_rate(
    group: list[TrialRecord],
    factors: dict[str, Any],
    label: Label,
    level: float,
    kind: IntervalKind,
    design: SequentialDesign | None,
) -> CellRate:
    counted = [record for record in group if has_label(record, label) is not None]
    unstable = sum(has_label(record, label) is True for record in counted)
    unfinished = [record for record in group if record.status == "running"]
    running = sum(record.attempts > 0 for record in unfinished)
    measured = [_selected_accuracies(record) for record in counted]
    gaps = [found["pgd-10"] - found["square"] for found in measured if {"pgd-10", "square"} <= found.keys()]
    attacked = [found.accuracies for record in counted if (found := autoattack_result(record))]

    return CellRate(
        cell_id=group[0].cell_id,
        setting=setting_name(group[0].cell),
        factors=factors,
        label=label,
        unstable=unstable,
        trials=len(counted),
        unknown=0,
        censored=len(group) - len(counted) - len(unfinished),
        running=running,
        waiting=running < len(unfinished),
        healed=sum(record.verdict is not None and record.verdict.outcome == "healed" for record in group),
        stopped=sum(record.stopped_early for record in group),
        rate=unstable / len(counted) if counted else None,
        interval=_interval(counted, unstable, label, level, kind, design),
        clean_accuracy=_mean_of("clean", measured),
        pgd10_accuracy=_mean_of("pgd-10", measured),
        pgd50_accuracy=_mean_of("pgd-50x5", measured),
        square_accuracy=_mean_of("square", measured),
        gap=_mean(gaps),
        labels=attack_labels(measured for record in counted for measured in _selected_measurements(record)),
        autoattack=MeanStd.of([found["autoattack"] for found in attacked]) if attacked else None,
        autoattack_gap=MeanStd.of([found[GAP] for found in attacked]) if attacked else None,
        epochs_run=sum(record.epochs_run for record in group),
        epochs_saved=sum(epochs_saved(record) for record in group),
        device_seconds=sum(record.device_seconds for record in group),
        device_seconds_saved=sum(device_seconds_saved(record) for record in group),
    )


def _interval(
    counted: list[TrialRecord],
    unstable: int,
    label: Label,
    level: float,
    kind: IntervalKind,
    design: SequentialDesign | None,
) -> Interval:
    if kind in CLUSTERED:
        return of_groups(kind, pinned_groups(counted, lambda record: has_label(record, label) is True), level)
    if kind != "sequential":
        return intervals.interval(kind, unstable, len(counted), level)
    if label == "ever" and design is not None and design.reached(unstable, len(counted)):
        return Interval(*design.interval(unstable, len(counted), level), level, kind)
    return intervals.confidence_sequence(unstable, len(counted), level)


def _selected_measurements(record: TrialRecord) -> list[Measurement]:
    evidence = record.verdict.evidence if record.verdict else ()
    return [m for e in evidence if e.checkpoint == "selected" for m in e.measurements if m.split == "test"]


def _selected_accuracies(record: TrialRecord) -> dict[str, float]:
    """Accuracies of the selected checkpoint on test images by attack; the first one of several."""
    return {m.attack: m.accuracy for m in reversed(_selected_measurements(record))}


def _mean_of(attack: str, measured: Sequence[Mapping[str, float]]) -> float | None:
    return _mean([found[attack] for found in measured if attack in found])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _sort_key(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return (not number, float(value) if number else 0.0, json.dumps(value))
