"""The measurements of a check of one trained network. Plain data: no torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from core.records.record import Measurement


class ModelCheck(BaseModel):
    """What attacks and probes measured on one network and the same test images."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    origin: str
    """What the network is, in words."""
    dataset: str
    classes: int
    epsilon: float
    """l-infinity radius of all attacks, for images in [0, 1]."""
    measurements: tuple[Measurement, ...]
    correct: dict[str, tuple[bool, ...]]
    """For each image, whether it is classified correctly after the attack, by the attack's key."""
    fosc: float
    """Mean first-order stationary condition of PGD-10, in units of the loss."""
    sgcs: float
    """Mean cosine between the steps of PGD-10, -1 to 1."""
    zero_gradients: float
    """Share of images at which the loss has no gradient in float32, 0 to 1."""
    early_peaks: int
    """Images whose loss is highest before the radius, along the sign of their gradient."""
    landscapes: int
    """Images whose loss was measured along the sign of their gradient."""
    repeatable: bool
    """True if the network gives the same logits twice."""
    device: str
    seconds: float

    @property
    def images(self) -> int:
        """Number of test images."""
        return self.measurements[0].images

    def accuracy(self, attack: str) -> float:
        """Accuracy in [0, 1] under the attack with this key."""
        return next(m.accuracy for m in self.measurements if m.attack == attack)
