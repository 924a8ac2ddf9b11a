"""Options of the data set and of what is held out from it."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from core.config.base import Options


class Shape(NamedTuple):
    """Class count, channels and side length in pixels of a data set's images."""

    classes: int
    channels: int
    image_size: int


FIXED_SHAPES = {
    "digits": Shape(10, 1, 8),
    "cifar10": Shape(10, 3, 32),
    "cifar100": Shape(100, 3, 32),
    "svhn": Shape(10, 3, 32),
    "tiny-imagenet-200": Shape(200, 3, 64),
}
PUBLISHED_TRAINING_IMAGES = {
    "digits": 1437,
    "cifar10": 50_000,
    "cifar100": 50_000,
    "svhn": 73_257,
    "tiny-imagenet-200": 100_000,
}
FIELDS_DEFAULTS = {
    "classes": 50,
    "channels": 1,
    "image_size": 8,
    "train_images": 1200,
    "test_images": 400,
    "data_seed": 0,
}


class DataOptions(Options):
    """Which images a trial sees. Images are floats in [0, 1] of shape (channels, image_size, image_size)."""

    dataset: Literal["fields", "digits", "cifar10", "cifar100", "svhn", "tiny-imagenet-200"] = Field(
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
        if name in FIXED_SHAPES:
            for option, actual in FIXED_SHAPES[name]._asdict().items():
                if str(given.get(option, actual)) != str(actual):
                    raise ValueError(f"{option} {given[option]} is impossible with dataset {name}, which has {actual}")
                given = {**given, option: actual}
            for option in ("train_images", "test_images", "data_seed"):
                if given.get(option) is not None:
                    raise ValueError(
                        f"{option} {given[option]} is impossible with dataset {name}; allowed with dataset fields"
                    )
            return given
        return {**FIELDS_DEFAULTS, **{k: v for k, v in given.items() if v is not None}}

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
        return (self.train_images or PUBLISHED_TRAINING_IMAGES[self.dataset]) - self.validation_images
