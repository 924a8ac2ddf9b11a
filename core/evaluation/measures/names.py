"""The measures by name, with the images and the budget of each. This file does not import torch."""

from __future__ import annotations

from typing import Literal, NamedTuple

MeasureName = Literal[
    "adversarial-vulnerability",
    "margin",
    "linearity-error",
    "lipschitz",
    "boundary-distortion",
    "calibration",
    "minimal-deepfool",
    "minimal-cw",
    "weight-landscape",
    "weight-landscape-2d",
    "input-landscape",
]


class MeasureInfo(NamedTuple):
    """On which images a measure is made, and how often each image passes through the network."""

    split: Literal["train", "test"]
    attack: Literal["pgd", "fgsm", "l2"]
    """``pgd``: --measure-steps steps; ``fgsm``: one step of the radius; ``l2``: no radius and `steps`."""
    title: str
    """Name in messages."""
    steps: int | None = None
    """Steps of an attack without a radius."""


MEASURES: dict[MeasureName, MeasureInfo] = {
    "adversarial-vulnerability": MeasureInfo("train", "pgd", "adversarial vulnerability"),
    "margin": MeasureInfo("train", "pgd", "margin along the attack"),
    "linearity-error": MeasureInfo("test", "fgsm", "linearity error"),
    "lipschitz": MeasureInfo("test", "pgd", "local Lipschitz constant"),
    "boundary-distortion": MeasureInfo("test", "fgsm", "boundary distortion"),
    "calibration": MeasureInfo("test", "pgd", "calibration under attack"),
    "minimal-deepfool": MeasureInfo("test", "l2", "l2 DeepFool", steps=50),
    "minimal-cw": MeasureInfo("test", "l2", "l2 C&W", steps=1000),
    "weight-landscape": MeasureInfo("test", "pgd", "weight landscape"),
    "weight-landscape-2d": MeasureInfo("test", "pgd", "weight landscape, 2-D"),
    "input-landscape": MeasureInfo("test", "pgd", "input landscape"),
}
"""Papers 002 and 004 measure vulnerability and margins on training images without augmentation."""
