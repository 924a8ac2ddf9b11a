"""Series of a record, and which trials show best what a figure is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from analysis.questions.healing import Before
from analysis.questions.rates import varying_factors
from analysis.report.figures.style import INK
from analysis.report.grid import describe, distinct_factors
from core.config.data import DataOptions
from core.records import CheckpointName, TrialRecord


class Series(NamedTuple):
    """A metric over epochs; `values` are NaN where the trace has none."""

    epochs: np.ndarray
    values: np.ndarray

    @property
    def empty(self) -> bool:
        """Is there nothing to draw?"""
        return not np.isfinite(self.values).any()


def series(record: TrialRecord, metric: str) -> Series:
    """Values of `metric` by epoch."""
    values = [row.get(metric) for row in record.trace]
    return Series(
        np.array([row["epoch"] for row in record.trace], dtype=float),
        np.array([np.nan if value is None else value for value in values], dtype=float),
    )


def has(record: TrialRecord, *metrics: str) -> bool:
    """Does the trace hold at least one finite value of each of `metrics`?"""
    return all(not series(record, metric).empty for metric in metrics)


def outcome(record: TrialRecord) -> str:
    """The verdict's outcome, or ``running``."""
    return record.verdict.outcome if record.verdict else "running"


class Pair(NamedTuple):
    """Two trials to be drawn beside each other."""

    first: TrialRecord
    second: TrialRecord


def contrast(records: Sequence[TrialRecord]) -> Pair | None:
    """A stable and an unstable trial, of one cell where one has both: the unstable one with the longest trace,
    so that most of what follows the onset shows.
    """
    stable = [r for r in records if outcome(r) == "stable" and has(r, "val/fosc")]
    unstable = [r for r in records if outcome(r) == "unstable" and r.verdict and r.verdict.onset and has(r, "val/fosc")]
    pairs = [Pair(s, u) for u in unstable for s in stable if s.cell_id == u.cell_id]
    if not pairs and stable and unstable:
        pairs = [Pair(stable[0], u) for u in unstable]
    return max(pairs, key=lambda p: p.second.epochs_run, default=None)


def self_healed(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """A trial that recovered without help, the one with the longest trace after its onset."""
    return max(
        (r for r in records if r.verdict and r.verdict.recovery_epochs and r.cell["heal"] == "none"),
        key=lambda r: r.epochs_run - (r.verdict.onset_epoch or 0 if r.verdict else 0),
        default=None,
    )


def heal_pair(records: Sequence[TrialRecord], before: Before | None = None) -> Pair | None:
    """An unstable trial without healing and its twin with it: same seed, same options otherwise.

    Of several pairs it is one whose twin is not unstable, and of these the one whose first trial has most epochs.

    Args:
        records: of one sweep.
        before: the earlier sweep whose trials it trains again, if it does.
    """
    pairs = _heal_pairs(records, before)
    return max(pairs, key=lambda pair: (outcome(pair.second) != "unstable", pair.first.epochs_run), default=None)


def _heal_pairs(records: Sequence[TrialRecord], before: Before | None) -> list[Pair]:
    counterparts = before.counterparts if before else {}

    def setting(record: TrialRecord) -> str:
        return str(sorted((k, str(v)) for k, v in record.cell.items() if not k.startswith("heal")))

    unhealed = [r for r in records if r.cell["heal"] == "none" and outcome(r) == "unstable"]
    there = {(setting(r), r.seed): r for r in unhealed}
    there |= {(r.cell_id, r.seed): r for r in (before.compared if before else ()) if outcome(r) == "unstable"}
    healed = [r for r in records if r.cell["heal"] != "none" and r.verdict]
    keys = [(r, (counterparts.get(r.cell_id, setting(r)), r.seed)) for r in healed]
    return [Pair(there[key], record) for record, key in keys if key in there]


class Shown(NamedTuple):
    """A stored checkpoint to be drawn."""

    record: TrialRecord
    checkpoint: CheckpointName


class LandscapePair(NamedTuple):
    """Two checkpoints to be drawn beside each other."""

    stable: Shown
    unstable: Shown


def landscape_pair(records: Sequence[TrialRecord]) -> LandscapePair | None:
    """Checkpoints of a stable and an unstable trial whose landscapes can be compared, of one cell where one has both.

    Of unstable trials it is the checkpoint, selected or last, whose gradients hide most: by the larger of PGD-10 minus
    Square and FGSM minus PGD-10 accuracy on test images. Beside it stands the same checkpoint of a stable trial with
    the same data, epsilon and model.
    """
    candidates = [
        (stable.cell_id == unstable.cell_id, masking, LandscapePair(Shown(stable, name), Shown(unstable, name)))
        for unstable in records
        if outcome(unstable) == "unstable"
        for name, masking in _masking(unstable).items()
        for stable in records
        if outcome(stable) == "stable" and f"{name}.pt" in stable.checkpoints and _comparable(stable, unstable)
    ]
    best = max(candidates, key=lambda candidate: candidate[:2], default=None)
    return best[2] if best else None


def _masking(record: TrialRecord) -> dict[CheckpointName, float]:
    """How much the gradients of each stored checkpoint hide, as far as it was measured on test images."""
    found: dict[CheckpointName, float] = {}
    for evidence in record.verdict.evidence if record.verdict else ():
        accuracy = {m.attack: m.accuracy for m in evidence.measurements if m.split == "test"}
        if evidence.checkpoint in ("selected", "last") and {"fgsm", "pgd-10", "square"} <= accuracy.keys():
            gaps = accuracy["pgd-10"] - accuracy["square"], accuracy["fgsm"] - accuracy["pgd-10"]
            if f"{evidence.checkpoint}.pt" in record.checkpoints:
                found[evidence.checkpoint] = max(gaps)
    return found


def _comparable(one: TrialRecord, other: TrialRecord) -> bool:
    names = [*DataOptions.model_fields, "epsilon", "model"]
    return all(one.cell.get(name) == other.cell.get(name) for name in names)


def mark_events(axes: Sequence[Axes], record: TrialRecord, *, label_on: int = 0) -> None:
    """Vertical lines at the onsets (dashed) and recoveries (dotted) of `record`, named on one of `axes`."""
    if record.verdict is None:
        return
    marks = [(e, "onset", "dashed") for e in record.verdict.onset_epochs]
    marks += [(e, "recovery", "dotted") for e in record.verdict.recovery_epochs]
    for epoch, name, dash in marks:
        for ax in axes:
            ax.axvline(epoch, color=INK, linestyle=dash, linewidth=0.9)
        axes[label_on].annotate(
            f" {name} {epoch} ",
            (epoch, 1),
            xycoords=("data", "axes fraction"),
            va="top",
            ha="right" if name == "onset" else "left",
            fontsize=7.5,
        )


class Names:
    """What trials are called in pictures: by the options that vary in ``records`` and their seed."""

    def __init__(self, records: Sequence[TrialRecord]) -> None:
        varying = varying_factors(records)
        cells = [_Cell({name: r.cell.get(name) for name in varying}) for r in {r.cell_id: r for r in records}.values()]
        self._options = distinct_factors(cells)

    def __call__(self, record: TrialRecord) -> str:
        """As in ``beta 1, batch_size 16, seed 3``."""
        return describe({**{name: record.cell.get(name) for name in self._options}, "seed": record.seed})


@dataclass(frozen=True)
class _Cell:
    factors: dict[str, Any]
