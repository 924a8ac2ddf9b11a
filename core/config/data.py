"""Options of the data set and of what is held out from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from core.config.base import Options
from core.config.datasets import DATASETS, Shape, find_dataset
from core.config.registered import Registered

GENERATED_DEFAULTS = {
    "classes": 50,
    "channels": 1,
    "image_size": 8,
    "train_images": 1200,
    "test_images": 400,
    "data_seed": 0,
}
"""Options that a generated data set alone leaves free."""


class DataOptions(Options):
    """Which images a trial sees. Images are floats in [0, 1] of shape (channels, image_size, image_size)."""

    dataset: Annotated[str, Registered(find_dataset, lambda: DATASETS)] = Field(
        "fields", description="data set; `fields` and `digits` need no files"
    )
    classes: int = Field(ge=2, le=10_000, description="number of classes (free for `fields` only)")
    channels: int = Field(ge=1, le=16, description="image channels (free for `fields` only)")
    image_size: int = Field(ge=4, le=512, description="image side in pixels (free for `fields` only)")
    train_images: int | None = Field(
        None, ge=1, le=10_000_000, description="generated training images, validation split included (`fields` only)"
    )
    test_images: int | None = Field(None, ge=1, le=10_000_000, description="generated test images (`fields` only)")
    data_seed: int | None = Field(None, ge=0, lt=2**32, description="seed of the generated images (`fields` only)")
    validation_images: int = Field(400, ge=1, description="images held out of the training set, stratified by class")
    augment: Literal["none", "crop-flip"] = Field(
        "none", description="training augmentation: random crop with 4-pixel padding and horizontal flip"
    )

    @model_validator(mode="before")
    @classmethod
    def _resolve_shape(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        name = str(given.get("dataset", "fields"))
        shape = fixed_shape(name)
        if shape is None:
            return {**GENERATED_DEFAULTS, **{k: v for k, v in given.items() if v is not None}}
        for option, actual in shape._asdict().items():
            if str(given.get(option, actual)) != str(actual):
                raise ValueError(f"{option} {given[option]} is impossible with dataset {name}, which has {actual}")
            given = {**given, option: actual}
        for option in (free for free in GENERATED_DEFAULTS if free not in shape._fields):
            if given.get(option) is not None:
                generated = ", ".join(other for other in DATASETS if fixed_shape(other) is None)
                raise ValueError(
                    f"{option} {given[option]} is impossible with dataset {name}; allowed with dataset {generated}"
                )
        return given

    @model_validator(mode="after")
    def _check_split(self) -> DataOptions:
        if self.kept_images < 1:
            images = self.kept_images + self.validation_images
            raise ValueError(f"validation_images {self.validation_images} must be less than train_images {images}")
        return self

    @property
    def shape(self) -> Shape:
        """Class count, channels and image side."""
        return Shape(self.classes, self.channels, self.image_size)

    @property
    def kept_images(self) -> int:
        """Training images that are left without the validation images."""
        images = self.train_images or find_dataset(self.dataset).training_images
        assert images is not None
        return images - self.validation_images


def fixed_shape(dataset: str) -> Shape | None:
    """Shape of a data set's images; None where the options choose it, and for an unknown name."""
    return DATASETS[dataset].shape if dataset in DATASETS else None
