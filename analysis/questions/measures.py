"""Measures of stored checkpoints, mean and standard deviation over the trials of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.questions.rates import group_by_cell, outcome, varying_factors
from analysis.statistics.means import MeanStd
from core.config.naming import setting_name
from core.records import CheckpointName, Measured, TrialRecord

WITHOUT_RADIUS = "minimal-"
"""Beginning of the names of measures whose attack has no radius."""


@dataclass(frozen=True)
class MeasureRow:
    """The trials of one cell with one outcome that have a measure of a checkpoint."""

    setting: str
    """The name of the cell where no option varies, see `setting_name`."""
    factors: dict[str, Any]
    outcome: str
    values: dict[str, MeanStd]
    """By the name of the value; a value that is not finite in some trial is left out of its mean."""
    trials: int
    settings: tuple[str, ...]
    """Images, steps and seed; one text unless trials differ."""
    radii: tuple[float, ...]
    """Radii of the attacks, ascending; empty for attacks without one."""


def measure_rows(records: Sequence[TrialRecord], checkpoint: CheckpointName, measure: str) -> list[MeasureRow]:
    """One row for each cell and outcome with a measured trial, in the order of the cells."""
    names = varying_factors(records)
    rows = []
    for group in group_by_cell(records).values():
        found = [(outcome(r), m) for r in group if (m := r.measured(checkpoint, measure)) is not None]
        for kind in sorted({kind for kind, _ in found}):
            chosen = [m for other, m in found if other == kind]
            rows.append(
                MeasureRow(
                    setting=setting_name(group[0].cell),
                    factors={name: group[0].cell.get(name) for name in names},
                    outcome=kind,
                    values=_means(chosen),
                    trials=len(chosen),
                    settings=tuple(dict.fromkeys(map(setting, chosen))),
                    radii=tuple(sorted({m.epsilon for m in chosen if not m.measure.startswith(WITHOUT_RADIUS)})),
                )
            )
    return rows


def setting(measured: Measured) -> str:
    """The images and the budget of a measure in words: ``1,000 training images, 50 steps, seed 0``."""
    kind = "training" if measured.split == "train" else "test"
    steps = "FGSM" if measured.steps is None else f"{measured.steps} steps"
    return f"{measured.images:,} {kind} images, {steps}, seed {measured.seed}"


def measured_kinds(records: Sequence[TrialRecord]) -> list[tuple[CheckpointName, str]]:
    """The checkpoints and measures that any trial has, in the order in which they were first measured."""
    return list(dict.fromkeys((m.checkpoint, m.measure) for record in records for m in record.measures))


def _means(measures: Sequence[Measured]) -> dict[str, MeanStd]:
    known: dict[str, list[float]] = {}
    for measured in measures:
        for name, value in measured.values.items():
            if value is not None:
                known.setdefault(name, []).append(value)
    return {name: MeanStd.of(values) for name, values in known.items()}
