"""What later evaluations (`jobs/evaluate.py`) say of a trial's checkpoints under AutoAttack."""

from __future__ import annotations

from typing import NamedTuple

from core.records import CheckpointName, Evidence, TrialRecord

AUTOATTACKS = ("autoattack", "autoattack-standard", "autoattack-plus")
"""What may stand for the paper's AutoAttack, the most like its Table 1 first."""
GAP = "gap"


class AutoAttackResult(NamedTuple):
    """An evaluation with AutoAttack."""

    kind: str
    """Of `AUTOATTACKS`."""
    evidence: Evidence

    @property
    def accuracies(self) -> dict[str, float]:
        """By attack, all on the same images; ``autoattack`` is that of `kind`, ``gap`` is PGD-10 minus AutoAttack."""
        found = {m.attack: m.accuracy for m in self.evidence.measurements}
        worst = found[self.kind]
        return {**found, "autoattack": worst, GAP: found["pgd-10"] - worst}


def autoattack_result(record: TrialRecord, checkpoint: CheckpointName = "selected") -> AutoAttackResult | None:
    """The checkpoint's evaluation on the most images, of the first kind that there is; None without AutoAttack."""
    found = ((kind, record.evaluation(checkpoint, kind)) for kind in AUTOATTACKS)
    return next((AutoAttackResult(kind, evidence) for kind, evidence in found if evidence), None)
