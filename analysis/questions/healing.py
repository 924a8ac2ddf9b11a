"""Comparison of regular, unstable and fixed trials (Table 3), where a sweep trains trials of an earlier sweep again.

"Fixed" trials share their seeds with "unstable" ones of the earlier sweep and are therefore also compared in pairs. As
in Algorithm 1 (line 17), a fixed trial is judged at its gated checkpoint: the epoch with the best PGD accuracy on
validation images among epochs whose FOSC is not above the threshold. The last epochs are compared too, because the gate
alone removes masked epochs even if the noise does not heal.

The seeds are chosen because they were unstable, and some would be stable in another run by chance. A placebo arm (cells
with ``heal: placebo``) trains the same seeds again with rounding errors only. Healing is what it adds to this arm.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any, Literal

import numpy as np
from scipy.stats import t as student

from analysis.questions.attack_labels import attack_labels
from analysis.questions.rates import group_by_cell, has_label, naming_factors
from analysis.statistics.bounded_mean import bounded_mean_ends
from analysis.statistics.intervals import Proportion, proportion
from analysis.statistics.means import MeanStd
from analysis.statistics.paired_counts import paired_share_ends
from core.records import CheckpointName, Evidence, Measurement, TrialRecord

Group = Literal["regular", "unstable", "fixed", "placebo"]
Source = Literal["verdict", "evaluation"]
RECOVERED = "Of the trials that were trained again, how many are not unstable at their end?"
VALUES = ("clean", "fgsm", "pgd-10", "square", "autoattack", "gap", "fosc")
"""Compared values: accuracies by the keys of their attacks, the gap between two of them, and FOSC."""


def compared_rows(again: Group) -> tuple[tuple[Group, CheckpointName], ...]:
    """Compared groups with their checkpoints; the first three are the rows of Table 3."""
    return (
        ("regular", "selected"),
        ("unstable", "selected"),
        (again, "gated"),
        ("unstable", "last"),
        (again, "last"),
    )


@dataclass(frozen=True)
class EarlierRecords:
    """The records of the earlier sweep whose trials a sweep trains again."""

    sweep: str
    records: Sequence[TrialRecord]
    counterparts: Mapping[str, str]
    """Cell id of the new sweep -> cell id of the earlier one."""

    @property
    def compared(self) -> list[TrialRecord]:
        """The trials of the cells that are trained again."""
        return [record for record in self.records if record.cell_id in self.counterparts.values()]


@dataclass(frozen=True)
class HealingRow:
    """One group at one checkpoint."""

    group: Group
    checkpoint: CheckpointName
    trials: int
    """Number of trials of the group with such a checkpoint."""
    unstable: int
    """Number of these trials that are unstable at their end."""
    values: dict[str, MeanStd]
    """Means by their names in `VALUES`; a value that was not measured is missing."""


@dataclass(frozen=True)
class PairedDifference:
    """The difference trained again (gated) minus unstable (selected) over pairs of trials with the same seed."""

    value: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    mean: float
    ends: tuple[float, float] | None
    """Ends of the interval of the mean for differences within -1 and 1 of any distribution; None for FOSC."""
    normal_ends: tuple[float, float] | None
    """Ends by Student's t for roughly normal differences; None with one pair. They cover less if only some seeds heal.
    """


@dataclass(frozen=True)
class AgainstPlacebo:
    """Pairs of a healed and a placebo trial with the same seed and otherwise equal options."""

    seeds: int
    only_healed: int
    """Number of pairs of which only the trial with healing is not unstable at its end."""
    only_placebo: int
    ends: tuple[float, float]
    """Ends of the interval of the share of seeds that are not unstable with healing, minus that with the placebo."""

    @property
    def difference(self) -> float:
        """The difference of the shares."""
        return (self.only_healed - self.only_placebo) / self.seeds


@dataclass(frozen=True)
class HealingComparison:
    """One cell of the new sweep beside the cell of the earlier sweep whose seeds it has."""

    cell_id: str
    factors: dict[str, Any]
    """The values of the options that tell the cells of the new sweep apart."""
    arm: Group
    """``fixed`` or ``placebo``."""
    level: float
    recovered: Proportion
    """The trials that were trained again and are not unstable at their end."""
    placebo: AgainstPlacebo | None
    """Comparison with the placebo arm of the same seeds; None without one."""
    source: Source
    """``evaluation``: measured by `jobs/evaluate.py` with AutoAttack; ``verdict``: measured by the trials' verdicts."""
    rows: list[HealingRow]
    paired: list[PairedDifference]
    labels: dict[str, tuple[str, ...]]
    """Each attack as it was run, by its key in a record."""
    seeds: int
    """Number of seeds that were trained again and finished, censored trials included."""
    ungated: int
    """Number of fixed trials whose FOSC was above the threshold in every epoch."""
    untouched: int
    """Number of fixed trials in which no batch got noise, because FOSC was never above the threshold before the end."""
    stopped: int
    """Number of unstable trials of the earlier sweep that were stopped early, at the epoch of their alarm."""


def compare_healing(
    earlier: EarlierRecords, again: Sequence[TrialRecord], level: float = 0.95
) -> list[HealingComparison]:
    """One comparison for each cell of the new sweep with finished trials.

    Accuracies come from later evaluations if all compared checkpoints of the cell have one with AutoAttack, and
    otherwise from the verdicts. All accuracies of a table are thus measured on the same images.

    Args:
        earlier: trials of the earlier sweep, with all outcomes.
        again: trials of the new sweep.
        level: coverage of the intervals.
    """
    names = naming_factors(again)
    there, groups_again = group_by_cell(earlier.records), group_by_cell(again)
    placebos = {_setting(members[0]): members for members in groups_again.values() if _is_placebo(members[0])}
    comparisons = []
    for cell_id, members in groups_again.items():
        fixed = [record for record in members if has_label(record, "any") is not None]
        if not fixed:
            continue
        arm: Group = "placebo" if _is_placebo(members[0]) else "fixed"
        seeds = {record.seed for record in members}
        counterpart = there.get(earlier.counterparts.get(cell_id, ""), [])
        groups: dict[Group, list[TrialRecord]] = {
            "regular": [r for r in counterpart if r.verdict and r.verdict.outcome == "stable"],
            "unstable": [r for r in counterpart if r.verdict and r.seed in seeds],
            arm: fixed,
        }
        compared = compared_rows(arm)
        source: Source = "evaluation" if _all_evaluated(groups, compared) else "verdict"
        rows = [row for group, name in compared if (row := _row(groups[group], group, name, source)).trials]
        gated = [record for record in fixed if _evidence(record, "gated", "verdict")]
        measured = (m for group, name in compared for m in _measurements(groups[group], name, source))
        comparisons.append(
            HealingComparison(
                cell_id=cell_id,
                factors={name: members[0].cell.get(name) for name in names},
                arm=arm,
                level=level,
                recovered=proportion(RECOVERED, sum(map(_is_recovered, fixed)), len(fixed), level, "blaker"),
                placebo=None if arm == "placebo" else _against(fixed, placebos.get(_setting(members[0]), ()), level),
                source=source,
                rows=rows,
                paired=_paired(groups["unstable"], gated, source, level),
                labels=attack_labels(measured),
                seeds=len(seeds),
                ungated=len(fixed) - len(gated),
                untouched=0 if arm == "placebo" else sum(map(_is_untouched, fixed)),
                stopped=sum(record.stopped_early for record in groups["unstable"]),
            )
        )
    return comparisons


def _is_placebo(record: TrialRecord) -> bool:
    return bool(record.cell["heal"] == "placebo")


def _is_recovered(record: TrialRecord) -> bool:
    return has_label(record, "any") is False


def _is_untouched(record: TrialRecord) -> bool:
    return not any(row.get("heal/noisy_batches") for row in record.trace)


def _setting(record: TrialRecord) -> str:
    """The options that a trial with healing shares with its placebo."""
    return json.dumps({name: value for name, value in record.cell.items() if not name.startswith("heal")})


def _against(fixed: Sequence[TrialRecord], placebo: Sequence[TrialRecord], level: float) -> AgainstPlacebo | None:
    known = {r.seed: _is_recovered(r) for r in placebo if has_label(r, "any") is not None}
    pairs = [(_is_recovered(record), known[record.seed]) for record in fixed if record.seed in known]
    if not pairs:
        return None
    only_healed, only_placebo = (pairs.count(kind) for kind in ((True, False), (False, True)))
    return AgainstPlacebo(
        len(pairs), only_healed, only_placebo, paired_share_ends(only_healed, only_placebo, len(pairs), level)
    )


def _all_evaluated(groups: Mapping[Group, Sequence[TrialRecord]], rows: Sequence[tuple[Group, CheckpointName]]) -> bool:
    compared = [(r, name) for group, name in rows[:3] for r in groups[group] if _evidence(r, name, "verdict")]
    return bool(compared) and all(record.evaluation(name, "autoattack") for record, name in compared)


def _row(records: Sequence[TrialRecord], group: Group, checkpoint: CheckpointName, source: Source) -> HealingRow:
    measured = [(r, values) for r in records if (values := _values(r, checkpoint, source))]
    found = {name: [values[name] for _, values in measured if name in values] for name in VALUES}
    return HealingRow(
        group=group,
        checkpoint=checkpoint,
        trials=len(measured),
        unstable=sum(has_label(record, "any") is True for record, _ in measured),
        values={name: MeanStd.of(known) for name, known in found.items() if known},
    )


def _paired(
    unstable: Sequence[TrialRecord], fixed: Sequence[TrialRecord], source: Source, level: float
) -> list[PairedDifference]:
    before = {record.seed: _values(record, "selected", source) for record in unstable}
    after = {record.seed: _values(record, "gated", source) for record in fixed}
    found = []
    for name in VALUES:
        seeds = tuple(s for s in sorted(before.keys() & after.keys()) if name in before[s] and name in after[s])
        if seeds:
            differences = tuple(after[seed][name] - before[seed][name] for seed in seeds)
            ends = None if name == "fosc" else bounded_mean_ends(differences, -1, 1, level)
            normal = _mean_ends(differences, level)
            found.append(PairedDifference(name, seeds, differences, fmean(differences), ends, normal))
    return found


def _mean_ends(differences: Sequence[float], level: float) -> tuple[float, float] | None:
    if len(differences) < 2:
        return None
    half = float(student.ppf((1 + level) / 2, len(differences) - 1)) * stdev(differences) / sqrt(len(differences))
    return fmean(differences) - half, fmean(differences) + half


def _measurements(records: Sequence[TrialRecord], checkpoint: CheckpointName, source: Source) -> Iterator[Measurement]:
    for record in records:
        evidence = _evidence(record, checkpoint, source)
        yield from evidence.measurements if evidence else ()


def _values(record: TrialRecord, checkpoint: CheckpointName, source: Source) -> dict[str, float]:
    """Values by their names in `VALUES`; the gap is PGD minus AutoAttack or, without AutoAttack, minus Square."""
    evidence = _evidence(record, checkpoint, source)
    if evidence is None:
        return {}
    accuracies = {measured.attack: measured.accuracy for measured in evidence.measurements}
    values = {name: accuracies[name] for name in VALUES if name in accuracies}
    values["gap"] = values["pgd-10"] - values.get("autoattack", values["square"])
    found = record.trace.column("val/fosc")[record.trace.column("epoch") == evidence.epoch]
    return {**values, "fosc": float(found[0])} if np.isfinite(found).any() else values


def _evidence(record: TrialRecord, checkpoint: CheckpointName, source: Source) -> Evidence | None:
    if source == "evaluation":
        return record.evaluation(checkpoint, "autoattack")
    evidence = record.verdict.evidence if record.verdict else ()
    return next((e for e in evidence if e.checkpoint == checkpoint), None)
