"""Extra training images with pseudo-labels, from a file that the user brings.

Two published formats are read. Rebuffi et al. (2021) and Wang et al. (2023) published generated images as ``.npz`` with
the arrays ``image`` and ``label``. Carmon et al. (2019) published ``ti_500K_pseudo_labeled.pickle``, a dictionary with
``data`` and ``extrapolated_targets``.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.config import Cell, DataOptions, Sweep
from core.config.datasets import Shape
from core.data.dataset_files import whole_labels
from core.data.image_set import Dataset, ImageSet
from core.data.staging import staged
from core.storage.address import is_s3

NAMES = {".npz": ("image", "label"), ".pickle": ("data", "extrapolated_targets")}
"""Names of the images and of the labels in a file, by the file's ending."""
ARRAY_PARTS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("_codecs", "encode"),
}
"""What the pickle of a dictionary of arrays refers to. Anything else could run code."""


def with_extra(dataset: Dataset, options: DataOptions, data_dir: Path | str) -> Dataset:
    """The data set with the extra training images of the options, if they name any.

    Raises:
        ValueError: the file is missing or damaged, does not fit the data set, or has another checksum than named.
    """
    if options.extra_data is None:
        return dataset
    path = _local(options.extra_data, data_dir)
    checksum(path, options.extra_sha256)
    train = ImageSet(dataset.train.images, dataset.train.labels, read_extra(path, options.shape))
    return Dataset(train, dataset.validation, dataset.test)


def with_extra_checksums(sweep: Sweep, data_dir: Path | str) -> Sweep:
    """The sweep whose cells name the checksums of their files of extra images.

    Raises:
        ValueError: as in `with_extra`.
    """
    checked: dict[tuple[str, Shape], str] = {}

    def named(cell: Cell) -> Cell:
        options = cell.data
        if options.extra_data is None:
            return cell
        path, file = _local(options.extra_data, data_dir), (options.extra_data, options.shape)
        if file not in checked:
            read_extra(path, options.shape)
            checked[file] = checksum(path)
        if options.extra_sha256 not in (None, checked[file]):
            raise _other_content(path, options.extra_sha256)
        return Cell.from_flat({**cell.flat(), "extra_sha256": checked[file]})

    return sweep.with_cells(lambda entry: named(entry.cell))


def read_extra(path: Path, shape: Shape) -> ImageSet:
    """The images and labels of a file.

    Args:
        path: a file in one of the two formats, with images uint8 (n, height, width, channels).
        shape: shape of the data set's images.

    Raises:
        ValueError: the file is damaged or does not fit the data set.
    """
    try:
        images, labels = _arrays(path)
        numbers = whole_labels(labels)
    except Exception as error:  # a damaged file can raise anything
        reason = f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
        raise ValueError(f"--extra-data {path} is damaged or in another format: {' '.join(reason.split())}") from error
    if images.ndim == 3 and shape.channels == 1:
        images = images[..., None]
    expected = (len(numbers), shape.image_size, shape.image_size, shape.channels)
    if images.dtype != np.uint8 or images.shape != expected or not len(numbers):
        raise ValueError(
            f"--extra-data {path}: images are {images.dtype} {images.shape}, not uint8 {expected} for its "
            f"{len(numbers)} labels"
        )
    if numbers.min() < 0 or numbers.max() >= shape.classes:
        raise ValueError(
            f"--extra-data {path}: labels are {numbers.min()} to {numbers.max()}; allowed are 0 to {shape.classes - 1}"
        )
    return ImageSet(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(numbers))


def checksum(path: Path, expected: str | None = None) -> str:
    """The SHA-256 of a file.

    Raises:
        ValueError: it is not the expected one.
    """
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if expected not in (None, actual):
        raise _other_content(path, expected)
    return actual


def _other_content(path: Path, expected: str | None) -> ValueError:
    return ValueError(f"--extra-data {path} has another SHA-256 than {expected}")


def _local(name: str, data_dir: Path | str) -> Path:
    """The local path of the file; a file in a bucket is fetched first."""
    try:
        folder = staged(str(data_dir), "extra-data", {name: ""}) if is_s3(str(data_dir)) else Path(data_dir)
    except ValueError as error:
        raise ValueError(f"--extra-data {name}: {error}") from error
    if not (folder / name).is_file():
        raise ValueError(f"--extra-data {name}: {folder / name} is not found; put the file into --data-dir")
    return folder / name


def _arrays(path: Path) -> tuple[np.ndarray[Any, Any], Any]:
    content: Mapping[str, Any]
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as content:
            return _named(content, path)
    with path.open("rb") as file:
        content = _ArrayUnpickler(file, encoding="latin1").load()
    return _named(content, path)


def _named(content: Mapping[str, Any], path: Path) -> tuple[np.ndarray[Any, Any], Any]:
    images, labels = NAMES[path.suffix]
    missing = [name for name in (images, labels) if name not in content]
    if missing:
        raise ValueError(f"it has {', '.join(content) or 'nothing'}, and not {' and '.join(missing)}")
    return np.asarray(content[images]), content[labels]


class _ArrayUnpickler(pickle.Unpickler):
    """Reads dictionaries of arrays, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAY_PARTS:
            raise ValueError(f"it contains {module}.{name}, which is no array")
        return super().find_class(module, name)
