"""Robust overfitting: how much robustness the best checkpoint has more than that of the last epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.questions.autoattack_gap import AUTOATTACKS
from analysis.questions.rates import group_by_cell, varying_factors
from analysis.statistics.means import MeanStd
from core.config.naming import setting_name
from core.records import Evidence, TrialRecord

FROM_VERDICT = ("clean", "pgd-10", "square")
"""Attacks that every verdict measures on both checkpoints."""


@dataclass(frozen=True)
class BestAndEnd:
    """The accuracies of the trials of one cell under one attack, at the selected and at the last epoch."""

    setting: str
    """The name of the cell where no option varies, see `setting_name`."""
    factors: dict[str, Any]
    attack: str
    label: str
    """The attack as it was run."""
    best: MeanStd
    end: MeanStd
    difference: MeanStd
    """Best minus end, per trial."""
    images: int


def best_and_end(records: Sequence[TrialRecord]) -> list[BestAndEnd]:
    """Robust overfitting per cell and attack, as in Table 4 of ISEAT (Li and Spratling 2025).

    Only trials that ran to their last planned epoch count, because a stopped trial has no end. Accuracies come from
    the verdicts, and for AutoAttack from trials whose two checkpoints `jobs/evaluate.py` attacked with it. A
    checkpoint that was selected for its PGD accuracy on validation images is compared on test images.
    """
    names = varying_factors(records)
    rows = []
    for group in group_by_cell(records).values():
        finished = [r for r in group if r.verdict and r.verdict.outcome != "censored" and not r.stopped_early]
        for attack in (*FROM_VERDICT, *AUTOATTACKS):
            pairs = [pair for record in finished if (pair := _pair(record, attack)) is not None]
            pairs = [pair for pair in pairs if _images(pair[0], attack) == _images(pairs[0][0], attack)]
            if not pairs:
                continue
            best, end = ([evidence.accuracy(attack) for evidence in side] for side in zip(*pairs, strict=True))
            rows.append(
                BestAndEnd(
                    setting=setting_name(group[0].cell),
                    factors={name: group[0].cell.get(name) for name in names},
                    attack=attack,
                    label=pairs[0][0].measurement(attack).label,
                    best=MeanStd.of(best),
                    end=MeanStd.of(end),
                    difference=MeanStd.of([b - e for b, e in zip(best, end, strict=True)]),
                    images=_images(pairs[0][0], attack),
                )
            )
    return rows


def _pair(record: TrialRecord, attack: str) -> tuple[Evidence, Evidence] | None:
    if attack in FROM_VERDICT:
        found = {e.checkpoint: e for e in (record.verdict.evidence if record.verdict else ())}
        best, end = found.get("selected"), found.get("last")
    else:
        best, end = record.evaluation("selected", attack), record.evaluation("last", attack)
    if best is None or end is None or not (_has(best, attack) and _has(end, attack)):
        return None
    return (best, end) if _images(best, attack) == _images(end, attack) else None


def _has(evidence: Evidence, attack: str) -> bool:
    return any(m.attack == attack for m in evidence.measurements)


def _images(evidence: Evidence, attack: str) -> int:
    return evidence.measurement(attack).images
