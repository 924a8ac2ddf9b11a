"""Options of the data set and of its validation split."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from core.config.base import Number, Options, Unset, check_unused
from core.config.datasets import DATASETS, Shape, find_dataset
from core.config.later import AddedLater, Located
from core.config.names import SHA256
from core.config.registered import Registered

GENERATED_DEFAULTS = {
    "classes": 50,
    "channels": 1,
    "image_size": 8,
    "train_images": 1200,
    "test_images": 400,
    "data_seed": 0,
}
"""Options that only a generated data set leaves to the user, and their defaults."""


def _of_generated(option: str) -> Unset:
    return Unset(f"{GENERATED_DEFAULTS[option]} with --dataset fields, else not used")


SMALLEST_IDBH_IMAGE = 11
"""Smallest side of an image in pixels from which IDBH can remove up to 10 pixels."""

EXTRA_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.(npz|pickle)")
"""Name of a file of extra images, without a folder."""


class DataOptions(Options):
    """The images of a trial: floats in [0, 1] of shape (channels, image_size, image_size)."""

    dataset: Annotated[str, Registered(find_dataset, lambda: DATASETS)] = Field(
        "fields", description="data set; fields and digits need no files"
    )
    classes: int = Field(ge=2, le=10_000, description="number of classes (to choose for fields only)")
    channels: int = Field(ge=1, le=16, description="number of image channels (to choose for fields only)")
    image_size: int = Field(ge=4, le=512, description="side of an image in pixels (to choose for fields only)")
    train_images: Annotated[int | None, _of_generated("train_images")] = Field(
        None,
        ge=1,
        le=10_000_000,
        description="number of generated training images, including the validation split (fields only)",
    )
    test_images: Annotated[int | None, _of_generated("test_images")] = Field(
        None, ge=1, le=10_000_000, description="number of generated test images (fields only)"
    )
    data_seed: Annotated[int | None, _of_generated("data_seed")] = Field(
        None, ge=0, lt=2**32, description="seed of the generated images (fields only)"
    )
    validation_images: int = Field(
        400, ge=1, description="number of training images held out for validation, stratified by class"
    )
    augment: Literal["none", "crop-flip", "idbh-weak", "idbh-strong", "idbh-svhn"] = Field(
        "none",
        description="training augmentation; crop-flip: random crop with 4-pixel padding and horizontal flip; idbh: "
        "flip, shifted crop, an operation on colour or shape, and random erasing (Li and Spratling 2023)",
    )

    extra_data: Annotated[str | None, Unset("none"), AddedLater(None), Located("extra_sha256")] = Field(
        None,
        description="file of extra pseudo-labelled training images in --data-dir: .npz with image and label, or "
        ".pickle with data and extrapolated_targets",
    )
    extra_share: Annotated[Number, AddedLater(0.5)] = Field(
        0.5, gt=0, lt=1, description="share of extra images in each training batch"
    )
    extra_sha256: Annotated[str | None, Unset("computed"), AddedLater(None)] = Field(
        None, pattern=SHA256, description="SHA-256 that the file of --extra-data must have"
    )

    @model_validator(mode="after")
    def _uses_extra_options(self) -> DataOptions:
        if self.extra_data is not None and not EXTRA_FILE.fullmatch(self.extra_data):
            raise ValueError(f"extra_data {self.extra_data} must be the name of a .npz or .pickle file in --data-dir")
        check_unused(self, ("extra_share", "extra_sha256"), "extra_data", needed=self.extra_data is not None)
        return self

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
    def _can_be_augmented(self) -> DataOptions:
        if self.augment.startswith("idbh") and (self.channels not in (1, 3) or self.image_size < SMALLEST_IDBH_IMAGE):
            raise ValueError(
                f"augment {self.augment} is impossible with {self.channels} channels and image_size {self.image_size}; "
                f"it needs 1 or 3 channels and at least {SMALLEST_IDBH_IMAGE} pixels"
            )
        return self

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
    def generated_values(self) -> int:
        """Number of pixel values of a generated set's images; 0 for a data set with files."""
        images = (self.train_images or 0) + (self.test_images or 0)
        return images * self.channels * self.image_size**2

    @property
    def tested_images(self) -> int | None:
        """Number of test images; None for a registered data set that does not say it."""
        return self.test_images or find_dataset(self.dataset).test_images

    @property
    def image_bytes(self) -> int:
        """Bytes of all images, at one byte per value, which each training process holds in memory."""
        images = self.kept_images + self.validation_images + (self.tested_images or 0)
        return images * self.channels * self.image_size**2

    @property
    def kept_images(self) -> int:
        """Number of training images that remain after the validation split."""
        images = self.train_images or find_dataset(self.dataset).training_images
        assert images is not None
        return images - self.validation_images


def fixed_shape(dataset: str) -> Shape | None:
    """Shape of a data set's images; None if options choose the shape, and for an unknown name."""
    return DATASETS[dataset].shape if dataset in DATASETS else None
