"""Is the robustness of one network an illusion? The answer from a check's measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analysis.statistics.intervals import Interval
from analysis.statistics.paired_proportions import paired_difference
from core.config import ProtocolOptions
from core.records import ModelCheck
from core.verdict import reaches

Kind = Literal["catastrophic", "masked", "weak-attack", "confirmed", "none"]
RULE = ProtocolOptions()
"""The protocol whose thresholds the answer uses: those of a sweep that does not change them."""
NO_ROBUSTNESS = 0.05
"""Accuracy under PGD-10 up to which there is no robustness that could be an illusion."""


@dataclass(frozen=True)
class Masking:
    """The answer, and the two attacks that it compares."""

    kind: Kind
    weak: str
    """Key of the attack that leaves the most accuracy."""
    strong: str
    """Key of the attack that leaves the least."""
    gap: float
    """Accuracy under the weak attack minus accuracy under the strong one."""
    interval: Interval
    """95 % interval of the gap, over images like these."""

    @property
    def threshold(self) -> float:
        """Gap from which robustness is called an illusion."""
        return RULE.catastrophic_gap if self.kind == "catastrophic" else RULE.overestimation_gap

    @property
    def undecided(self) -> bool:
        """True if the interval of the gap contains the threshold."""
        return self.kind != "none" and self.threshold in self.interval


def masking(check: ModelCheck) -> Masking:
    """Compare PGD-10, which papers report, with stronger attacks on the same images.

    ``catastrophic``: FGSM leaves far more than PGD-10. ``none``: PGD-10 leaves almost nothing. ``masked``: Square or
    AutoAttack leaves far less than PGD-10, and far less than PGD-50 with restarts, too. ``weak-attack``: far less than
    PGD-10, but PGD-50 with restarts comes close to it. ``confirmed``: none of these.
    """
    fgsm, pgd10, pgd50 = (check.accuracy(name) for name in ("fgsm", "pgd-10", "pgd-50x5"))
    others = [m for m in check.measurements if m.attack == "square" or m.attack.startswith("autoattack")]
    strong = min(others, key=lambda m: m.accuracy).attack
    left = check.accuracy(strong)
    kind: Kind = "confirmed"
    if reaches(fgsm - pgd10, RULE.catastrophic_gap):
        return _masking(check, "catastrophic", "fgsm", "pgd-10")
    if pgd10 <= NO_ROBUSTNESS:
        kind = "none"
    elif reaches(pgd10 - left, RULE.overestimation_gap):
        kind = "masked" if reaches(pgd50 - left, RULE.overestimation_gap) else "weak-attack"
    return _masking(check, kind, "pgd-10", strong)


def _masking(check: ModelCheck, kind: Kind, weak: str, strong: str) -> Masking:
    gap = check.accuracy(weak) - check.accuracy(strong)
    return Masking(kind, weak, strong, gap, paired_difference(check.correct[weak], check.correct[strong]))
