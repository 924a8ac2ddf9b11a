"""The table of data sets, with what options and readers need to know about each. It does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Shape(NamedTuple):
    """Class count, channels and side length in pixels of a data set's images."""

    classes: int
    channels: int
    image_size: int


@dataclass(frozen=True)
class DatasetSpec:
    """A row of the table. A new data set needs a reader and a row.

    Attributes:
        name: value of the option ``dataset``.
        reader: ``module:class`` of its `core.data.reader.Reader`, imported when images are read.
        shape: shape of the images; None: the set is generated, and options choose its shape, sizes and seed.
        training_images: number of published training images; None for a generated set.
        test_images: number of published test images; None if it is not known here.
        needs_files: True if the reader needs files in the data folder, which a job then checks before it prints.
    """

    name: str
    reader: str
    shape: Shape | None = None
    training_images: int | None = None
    test_images: int | None = None
    needs_files: bool = False


DATASETS: dict[str, DatasetSpec] = {}


def register_dataset(spec: DatasetSpec) -> None:
    """Add a row to the table.

    Raises:
        ValueError: a data set of that name is registered already.
    """
    if spec.name in DATASETS:
        raise ValueError(f"data set {spec.name} is registered already, with reader {DATASETS[spec.name].reader}")
    DATASETS[spec.name] = spec


def find_dataset(name: str) -> DatasetSpec:
    """The row of a data set.

    Raises:
        ValueError: no data set has that name; the message lists all names.
    """
    if name not in DATASETS:
        raise ValueError(f"must be one of {', '.join(DATASETS)}")
    return DATASETS[name]


for _spec in (
    DatasetSpec("fields", "core.data.fields:Fields"),
    DatasetSpec("digits", "core.data.digits:Digits", Shape(10, 1, 8), 1437, 360),
    DatasetSpec("cifar10", "core.data.cifar:Cifar", Shape(10, 3, 32), 50_000, 10_000, needs_files=True),
    DatasetSpec("cifar100", "core.data.cifar:Cifar", Shape(100, 3, 32), 50_000, 10_000, needs_files=True),
    DatasetSpec("svhn", "core.data.svhn:Svhn", Shape(10, 3, 32), 73_257, 26_032, needs_files=True),
    DatasetSpec(
        "tiny-imagenet-200",
        "core.data.tiny_imagenet:TinyImageNet",
        Shape(200, 3, 64),
        100_000,
        10_000,
        needs_files=True,
    ),
):
    register_dataset(_spec)
