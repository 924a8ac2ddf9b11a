"""Measurements on a model: accuracies under attack, FOSC, SGCS, weight gradients and the loss landscape."""

from core.probes.evidence import collect_evidence, verdict_attacks
from core.probes.fosc import fosc
from core.probes.gradients import flat_gradient, gradient_cosine
from core.probes.landscape import Landscape, loss_landscape
from core.probes.sgcs import StepCosine
from core.probes.validation import validation_means, validation_sums

__all__ = [
    "Landscape",
    "StepCosine",
    "collect_evidence",
    "flat_gradient",
    "fosc",
    "gradient_cosine",
    "loss_landscape",
    "validation_means",
    "validation_sums",
    "verdict_attacks",
]
