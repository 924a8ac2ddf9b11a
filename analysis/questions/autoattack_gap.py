"""The accuracy of a trial's checkpoints under AutoAttack, as `jobs/evaluate.py` measured it."""

from __future__ import annotations

from typing import NamedTuple

from core.records import CheckpointName, Evidence, TrialRecord

AUTOATTACKS = ("autoattack", "autoattack-standard", "autoattack-plus")
"""Kinds of AutoAttack that are compared with the paper's; the first is the most similar to that of its Table 1."""
GAP = "gap"


class AutoAttackResult(NamedTuple):
    """An evaluation of a checkpoint with AutoAttack."""

    kind: str
    """One of `AUTOATTACKS`."""
    evidence: Evidence

    @property
    def accuracies(self) -> dict[str, float]:
        """Accuracies by attack on the same images; ``autoattack`` is that of `kind`, ``gap`` PGD minus AutoAttack."""
        found = {m.attack: m.accuracy for m in self.evidence.measurements}
        worst = found[self.kind]
        return {**found, "autoattack": worst, GAP: found["pgd-10"] - worst}


def autoattack_result(record: TrialRecord, checkpoint: CheckpointName = "selected") -> AutoAttackResult | None:
    """The checkpoint's largest evaluation with the first kind that was measured; None without any AutoAttack."""
    found = ((kind, record.evaluation(checkpoint, kind)) for kind in AUTOATTACKS)
    return next((AutoAttackResult(kind, evidence) for kind, evidence in found if evidence), None)
