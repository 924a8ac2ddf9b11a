"""Whether the images of a data set admit a robust classifier at a radius."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Feasibility(BaseModel):
    """Number of test images with a training image of another class within twice the radius (l-infinity).

    A point halfway between two such images is within the radius of both, and a classifier gives it one class: no
    classifier is robust at both images. Other pairs of images may rule out robustness as well, so that the share is a
    lower bound.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    epsilon: float = Field(gt=0)
    close: int = Field(ge=0)
    """Examined test images with such a training image."""
    examined: int = Field(ge=1)
    """Test images that were compared with all training images."""
    test_images: int
    """All test images; if more than `examined`, these are a random sample."""

    @property
    def share(self) -> float:
        """Share of the examined images, 0 to 1."""
        return self.close / self.examined
