"""The failures of adversarial training that detectors are judged on: one definition of each, and one of its onset."""

from __future__ import annotations

from typing import Literal, NamedTuple

from core.records import Evidence, TrialRecord
from core.verdict import is_overestimated, reaches

Failure = Literal["any", "masking", "catastrophic", "robust-overfitting"]


class Definition(NamedTuple):
    """What a failure is, and the epoch at which it begins."""

    failure: str
    onset: str


FAILURES: dict[Failure, Definition] = {
    "any": Definition(
        "masking or catastrophic overfitting, at the end or when an alarm was confirmed", "confirmation of an alarm"
    ),
    "masking": Definition(
        "PGD overestimates robustness at the selected or the last checkpoint",
        "first attacked checkpoint (alarm, selected, last) at which Square finds it",
    ),
    "catastrophic": Definition(
        "catastrophic overfitting at the selected or the last checkpoint",
        "first epoch with the same gap between FGSM and PGD on validation images",
    ),
    "robust-overfitting": Definition(
        "PGD accuracy on test images is at least 5 points lower at the last checkpoint than at the selected one",
        "first epoch whose PGD accuracy on validation images is at least 5 points below its best so far",
    ),
}
"""Each failure with its definition."""
OVERFITTING_GAP = 0.05
"""Least fall of the PGD accuracy that counts as robust overfitting. ISEAT's Table 4 has 5.9 points for AT, and 0.4
points for ISEAT, under AutoAttack."""


def has_failure(record: TrialRecord, failure: Failure) -> bool | None:
    """Whether a finished trial has the failure; None if it is censored, or if it was stopped and so has no end."""
    verdict = record.verdict
    if verdict is None or verdict.outcome == "censored":
        return None
    match failure:
        case "any":
            return bool(verdict.overestimation or verdict.catastrophic) or verdict.confirmed_epoch is not None
        case "masking":
            return verdict.overestimation
        case "catastrophic":
            return verdict.catastrophic
    return _overfitted(record)


def failure_onset(record: TrialRecord, failure: Failure) -> int | None:
    """The 1-based epoch at which the failure of a finished trial begins; None if its trace or evidence has no onset."""
    verdict = record.verdict
    assert verdict is not None
    match failure:
        case "any":
            return verdict.confirmed_epoch
        case "masking":
            gap = record.protocol["overestimation_gap"]
            judged = (e for e in verdict.evidence if e.checkpoint != "gated")
            return min((e.epoch for e in judged if is_overestimated(e, gap)), default=None)
        case "catastrophic":
            return _first_gap(record, record.protocol["catastrophic_gap"])
    return _first_fall(record)


def _overfitted(record: TrialRecord) -> bool | None:
    assert record.verdict is not None
    found = {e.checkpoint: accuracy for e in record.verdict.evidence if (accuracy := _pgd(e)) is not None}
    if record.stopped_early or not {"selected", "last"} <= found.keys():
        return None
    return reaches(found["selected"] - found["last"], OVERFITTING_GAP)


def _pgd(evidence: Evidence) -> float | None:
    return next((m.accuracy for m in evidence.measurements if m.attack == "pgd-10"), None)


def _first_gap(record: TrialRecord, threshold: float) -> int | None:
    """The first epoch whose FGSM accuracy is far above its PGD accuracy."""
    epochs, fgsm, pgd = (record.trace.column(name) for name in ("epoch", "val/fgsm_acc", "val/pgd10_acc"))
    gaps = zip(epochs, fgsm - pgd, strict=True)
    return next((int(epoch) for epoch, gap in gaps if reaches(gap, threshold)), None)


def _first_fall(record: TrialRecord) -> int | None:
    """The first epoch whose PGD accuracy is far below that of an earlier epoch."""
    best = 0.0
    for epoch, accuracy in zip(record.trace.column("epoch"), record.trace.column("val/pgd10_acc"), strict=True):
        if reaches(best - accuracy, OVERFITTING_GAP):
            return int(epoch)
        best = max(best, accuracy)
    return None
