"""The rule that turns measurements into labels, and labels into an outcome."""

from __future__ import annotations

from core.config import ProtocolOptions
from core.records import Evidence, Outcome, Verdict
from core.verdict.detector import Detector

ROUNDING = 1e-9
"""Tolerance of the thresholds: 0.30 - 0.22 is slightly below 0.08 in binary floating point."""


def reaches(gap: float, threshold: float) -> bool:
    """Whether a difference of accuracies is at least ``threshold``. The published rule is >=."""
    return gap >= threshold - ROUNDING


def is_overestimated(evidence: Evidence, gap: float) -> bool:
    """PGD accuracy at least ``gap`` above Square's on the same images (paper, Table 2: 8 points)."""
    return reaches(evidence.accuracy("pgd-10") - evidence.accuracy("square"), gap)


def is_catastrophic(evidence: Evidence, protocol: ProtocolOptions) -> bool:
    """One-step (FGSM) accuracy at least `catastrophic_gap` above PGD's on the same images."""
    return reaches(evidence.accuracy("fgsm") - evidence.accuracy("pgd-10"), protocol.catastrophic_gap)


def confirms_alarm(evidence: Evidence, protocol: ProtocolOptions) -> bool:
    """True if this evidence allows stopping a trial whose alarm is on."""
    return is_overestimated(evidence, protocol.overestimation_gap) or is_catastrophic(evidence, protocol)


def judge(evidence: tuple[Evidence, ...], detector: Detector, protocol: ProtocolOptions) -> Verdict:
    """Verdict of a trial that finished; its labels come from the selected and the last checkpoint only."""
    judged = [e for e in evidence if e.checkpoint in ("selected", "last")]
    overestimation = any(is_overestimated(e, protocol.overestimation_gap) for e in judged)
    catastrophic = any(is_catastrophic(e, protocol) for e in judged)
    confirmed = [e.epoch for e in evidence if e.checkpoint == "alarm" and confirms_alarm(e, protocol)]
    outcome: Outcome
    if overestimation or catastrophic or detector.active:
        outcome = "unstable"
    elif detector.onset_epochs:
        outcome = "healed"
    else:
        outcome = "stable"
    return Verdict(
        outcome=outcome,
        overestimation=overestimation,
        catastrophic=catastrophic,
        confirmed_epoch=min(confirmed, default=None),
        evidence=evidence,
        **_onsets(detector),
    )


def censor(reason: str, detector: Detector | None = None) -> Verdict:
    """Verdict of a trial that crashed, diverged or ran out of time: neither stable nor unstable."""
    return Verdict(outcome="censored", censor_reason=reason, **(_onsets(detector) if detector else {"onset": False}))


def _onsets(detector: Detector) -> dict:
    return {
        "onset": bool(detector.onset_epochs),
        "onset_epoch": detector.onset_epochs[0] if detector.onset_epochs else None,
        "onset_epochs": tuple(detector.onset_epochs),
        "recovery_epochs": tuple(detector.recovery_epochs),
    }
