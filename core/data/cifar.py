"""CIFAR-10 and CIFAR-100 from their Python pickles (Krizhevsky 2009)."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.config.datasets import DATASETS
from core.data.dataset_files import PublishedFiles, PublishedReader, unreadable, whole_labels

if TYPE_CHECKING:
    from core.data.image_set import ImageSet


@dataclass(frozen=True)
class CifarFiles:
    """The files of one data set, with their published MD5.

    torchvision lists the same files, but its import and torch's take seconds, and a driver only asks whether files
    exist.
    """

    folder: str
    train: Mapping[str, str]
    test: Mapping[str, str]


FILES = {
    "cifar10": CifarFiles(
        folder="cifar-10-batches-py",
        train={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        test={"test_batch": "40351d587109b95175f43aff81a1287e"},
    ),
    "cifar100": CifarFiles(
        folder="cifar-100-python",
        train={"train": "16019d7e3df5f24257cddd939b257f8d"},
        test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    ),
}


class Cifar(PublishedReader):
    """Reader of ``cifar10`` and ``cifar100``."""

    @property
    def files(self) -> PublishedFiles:
        return cifar_files(self.options.dataset)

    def read(self, folder: Path) -> tuple[ImageSet, ImageSet]:
        return read_cifar(self.options.dataset, folder)


def cifar_files(dataset: str) -> PublishedFiles:
    """The files of ``cifar10`` or ``cifar100``."""
    files = FILES[dataset]

    def fetch(data_dir: Path) -> None:
        from torchvision.datasets import CIFAR10, CIFAR100

        {"cifar10": CIFAR10, "cifar100": CIFAR100}[dataset](data_dir, download=True)

    md5 = {f"{files.folder}/{name}": md5 for name, md5 in {**files.train, **files.test}.items()}
    return PublishedFiles(dataset, md5, fetch)


def read_cifar(dataset: str, data_dir: Path) -> tuple[ImageSet, ImageSet]:
    """Training and test images of ``cifar10`` or ``cifar100`` (its 100 fine classes).

    Raises:
        ValueError: a file is corrupt.
    """
    import torch

    from core.data.image_set import ImageSet

    files, shape = FILES[dataset], DATASETS[dataset].shape
    assert shape is not None

    def read(names: Iterable[str]) -> ImageSet:
        parts = [_read_batch(data_dir / files.folder / name, shape.classes) for name in names]
        images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return ImageSet(torch.from_numpy(images), torch.from_numpy(labels))

    return read(files.train), read(files.test)


def _read_batch(path: Path, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images, uint8 [N, 3, 32, 32], and labels, int64 [N]."""
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
    return data.reshape(-1, 3, 32, 32), labels


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
