"""The trials that their sweep may stop early."""

from __future__ import annotations

from core.records import TrialRecord


def can_be_stopped(record: TrialRecord) -> bool:
    """True if the design allows to stop the trial early: the protocol stops trials, and the trial is not audited."""
    return bool(record.protocol.get("stop")) and not record.audit
