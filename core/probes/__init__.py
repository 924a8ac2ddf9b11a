"""What is measured on a model."""

from core.probes.fosc import fosc
from core.probes.gradients import GradientNorms, gradient_cosine, gradient_norms
from core.probes.sgcs import StepCosine
from core.probes.validation import validate, validation_means, validation_sums

__all__ = [
    "GradientNorms",
    "StepCosine",
    "fosc",
    "gradient_cosine",
    "gradient_norms",
    "validate",
    "validation_means",
    "validation_sums",
]
