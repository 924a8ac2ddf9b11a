"""What the engine does with the weights of any method's network: perturbation around a step, and averaging."""

from __future__ import annotations

from core.config import AwpOptions
from core.config.over_epochs import plain
from core.engine.weights.averaging import WeightAverage
from core.engine.weights.awp import AdversarialWeightPerturbation
from core.engine.weights.perturbation import WeightPerturbation, perturbed_weights
from core.engine.weights.rwp import RobustWeightPerturbation

__all__ = [
    "AdversarialWeightPerturbation",
    "RobustWeightPerturbation",
    "WeightAverage",
    "WeightPerturbation",
    "perturbed_weights",
    "weight_perturbation",
]


def weight_perturbation(options: AwpOptions, epoch: int) -> WeightPerturbation | None:
    """The weight perturbation of the steps of a 1-based epoch, or None.

    Args:
        options: the options in that epoch, see `core.config.Cell.in_epoch`.
        epoch: 1-based.
    """
    awp_radius, rwp_radius = plain(options.awp_radius), plain(options.rwp_radius)
    if epoch <= options.awp_warmup:
        return None
    if rwp_radius > 0:
        return RobustWeightPerturbation(rwp_radius, options.rwp_steps, plain(options.rwp_threshold))
    return AdversarialWeightPerturbation(awp_radius) if awp_radius > 0 else None
