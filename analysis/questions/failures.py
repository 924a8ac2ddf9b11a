"""The failures of adversarial training that detectors are judged on, one definition for each."""

from __future__ import annotations

from typing import Literal

from core.records import Evidence, TrialRecord

Failure = Literal["any", "masking", "catastrophic", "robust-overfitting"]
FAILURES: dict[Failure, str] = {
    "any": "masking or catastrophic overfitting, at the end or when an alarm was confirmed",
    "masking": "PGD overestimates robustness at the selected or the last checkpoint",
    "catastrophic": "catastrophic overfitting at the selected or the last checkpoint",
    "robust-overfitting": "PGD accuracy on test images is at least 5 points lower at the last checkpoint than at the "
    "selected one",
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


def _overfitted(record: TrialRecord) -> bool | None:
    assert record.verdict is not None
    found = {e.checkpoint: accuracy for e in record.verdict.evidence if (accuracy := _pgd(e)) is not None}
    if record.stopped_early or not {"selected", "last"} <= found.keys():
        return None
    # a fall of 0.30 to 0.25 is a little under 0.05 in binary floating point
    return found["selected"] - found["last"] >= OVERFITTING_GAP - 1e-9


def _pgd(evidence: Evidence) -> float | None:
    return next((m.accuracy for m in evidence.measurements if m.attack == "pgd-10"), None)
