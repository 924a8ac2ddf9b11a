"""A measure of a stored checkpoint: what `jobs/evaluate.py --measure` found."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

CheckpointName = Literal["selected", "last", "gated", "alarm"]


class Measured(BaseModel):
    """One measure of one checkpoint over a set of images, with all settings that it depends on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    measure: str
    """Name of the measure, such as ``adversarial-vulnerability`` (`core.evaluation.measures.names`)."""
    checkpoint: CheckpointName
    epoch: int
    """1-based epoch of the weights."""
    split: Literal["train", "test"]
    images: int
    epsilon: float
    steps: int | None = None
    """Steps of the attack or of the search; None for a measure along the step of FGSM."""
    step_fraction: float | None = None
    """Size of a step as a fraction of epsilon."""
    block: int
    """Number of images that are measured at once, on which random numbers depend."""
    seed: int
    precision: str = "fp32"
    library: str = "unmask"
    values: dict[str, float | None]
    """Summaries over the images by name; None for one that is not finite."""
    arrays: dict[str, tuple[float | None, ...]] = {}
    """Percentiles, offsets and losses of landscapes, bins of calibration, by name."""

    def same_setting(self, other: Measured) -> bool:
        """Whether both are the same measure of the same checkpoint on the same images with the same settings."""
        own, others = (entry.model_dump(exclude={"values", "arrays", "library"}) for entry in (self, other))
        return own == others
