"""Options of PGD adversarial training and of its single-step variants."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from core.config.methods.base import MethodOptions, Passes


class AdversarialOptions(MethodOptions):
    """Base of the methods that train on adversarial images only. They differ in their attacks."""

    smooths_labels: ClassVar = True

    def objective_passes(self) -> Passes:
        """One forward and one backward of the adversarial batch."""
        return Passes(1, 0, 1)


class PgdAtOptions(AdversarialOptions):
    """PGD adversarial training (Madry et al. 2018): cross-entropy attack from a uniform start."""

    method: Literal["pgd-at"] = Field("pgd-at", description="training method")

    counted_before: ClassVar = {"beta": 3.0, "clean_forwards": 1, "detach_target": False}

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """The attack of Madry et al. The number of steps and the step size keep their general defaults."""
        return {"inner": "ce", "attack_start": "uniform"}


class FgsmAtOptions(AdversarialOptions):
    """Adversarial training with the fast gradient sign method (Goodfellow et al. 2015): one step of size epsilon."""

    method: Literal["fgsm-at"] = Field("fgsm-at", description="training method")

    fixed: ClassVar = frozenset({"inner", "attack_start", "attack_steps"})

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """One step of size epsilon from the clean image."""
        return {"inner": "ce", "attack_start": "none", "attack_steps": 1, "attack_step_size": epsilon}


class RsFgsmOptions(AdversarialOptions):
    """Fast adversarial training (Wong et al. 2020): one step of 1.25 epsilon from a uniform start.

    The official code attacks in train mode. ``attack_bn train`` is the same, except that the attack does not update the
    running statistics of BatchNorm.
    """

    method: Literal["rs-fgsm"] = Field("rs-fgsm", description="training method")

    fixed: ClassVar = frozenset({"inner", "attack_start", "attack_steps"})

    @classmethod
    def part_defaults(cls, epsilon: float) -> dict[str, Any]:
        """One step of 10/255 at epsilon 8/255 from a uniform start."""
        return {
            "inner": "ce",
            "attack_start": "uniform",
            "attack_steps": 1,
            "attack_step_size": min(1.25 * epsilon, 2.0),
        }
