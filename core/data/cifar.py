"""CIFAR-10 and CIFAR-100 from their Python pickles (Krizhevsky 2009)."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.datasets import CIFAR10, CIFAR100

from core.config.datasets import DATASETS
from core.data.dataset_files import PublishedFiles, PublishedReader, unreadable, whole_labels
from core.data.image_set import ImageSet

SOURCES: dict[str, type[CIFAR10]] = {"cifar10": CIFAR10, "cifar100": CIFAR100}


class Cifar(PublishedReader):
    """Reader of ``cifar10`` and ``cifar100``."""

    @property
    def files(self) -> PublishedFiles:
        return cifar_files(self.options.dataset)

    def read(self, folder: Path) -> tuple[ImageSet, ImageSet]:
        return read_cifar(self.options.dataset, folder)


def cifar_files(dataset: str) -> PublishedFiles:
    """The files of ``cifar10`` or ``cifar100``, with the MD5 that torchvision lists."""
    source = SOURCES[dataset]

    def fetch(data_dir: Path) -> None:
        source(data_dir, download=True)

    md5 = {f"{source.base_folder}/{name}": md5 for name, md5 in source.train_list + source.test_list}
    return PublishedFiles(dataset, md5, fetch)


def read_cifar(dataset: str, data_dir: Path) -> tuple[ImageSet, ImageSet]:
    """Training and test images of ``cifar10`` or ``cifar100`` (its 100 fine classes).

    Raises:
        ValueError: a file is corrupt.
    """
    source, shape = SOURCES[dataset], DATASETS[dataset].shape
    assert shape is not None

    def read(table: list[list[str]]) -> ImageSet:
        parts = [_read_batch(data_dir / source.base_folder / name, shape.classes) for name, _ in table]
        return ImageSet(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))

    return read(source.train_list), read(source.test_list)


def _read_batch(path: Path, classes: int) -> ImageSet:
    try:
        with path.open("rb") as file:
            batch = _ArrayUnpickler(file, encoding="latin1").load()
        data = np.asarray(batch["data"])
        labels = whole_labels(batch["labels"] if "labels" in batch else batch["fine_labels"])
    except Exception as error:  # a damaged pickle can raise anything
        raise unreadable(path, f"{type(error).__name__}: {error}") from error
    if data.dtype != np.uint8 or data.shape != (len(labels), 3 * 32 * 32):
        raise unreadable(path, f"data is {data.dtype} {data.shape}, not uint8 {(len(labels), 3 * 32 * 32)}")
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= classes:
        raise unreadable(path, f"labels are not in 0 to {classes - 1}")
    return ImageSet(torch.from_numpy(data.reshape(-1, 3, 32, 32).copy()), torch.from_numpy(labels))


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that rebuilds numpy arrays and rejects everything else.

    A pickle can run any code, and these files need not have the published MD5.
    """

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        allowed = {"_reconstruct", "_frombuffer", "ndarray", "dtype"}
        if (module.split(".")[0] == "numpy" and name in allowed) or (module, name) == ("_codecs", "encode"):
            found: Callable[..., Any] = super().find_class(module, name)
            return found
        raise pickle.UnpicklingError(f"{module}.{name} is not part of an array")
