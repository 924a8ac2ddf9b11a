"""SVHN (cropped digits) from its MATLAB files (Netzer et al. 2011)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.data.dataset_files import PublishedFiles, PublishedReader, unreadable, whole_labels

if TYPE_CHECKING:
    from core.data.image_set import ImageSet

CLASSES = 10
FILES = {
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
}
"""Published MD5 of the training and the test file. torchvision lists them too, but its import takes seconds."""


class Svhn(PublishedReader):
    """Reader of ``svhn``."""

    @property
    def files(self) -> PublishedFiles:
        return svhn_files()

    def read(self, folder: Path) -> tuple[ImageSet, ImageSet]:
        return read_svhn(folder)


def svhn_files() -> PublishedFiles:
    """The files of the training and the test split."""

    def fetch(data_dir: Path) -> None:
        from torchvision.datasets import SVHN

        for split in ("train", "test"):
            SVHN(data_dir, split=split, download=True)

    return PublishedFiles("svhn", FILES, fetch)


def read_svhn(data_dir: Path) -> tuple[ImageSet, ImageSet]:
    """Training and test images; label 10 of the files, the digit 0, becomes 0.

    Raises:
        ValueError: a file is corrupt.
    """
    train, test = (_read_mat(data_dir / name) for name in FILES)
    return train, test


def _read_mat(path: Path) -> ImageSet:
    import torch
    from scipy.io import loadmat

    from core.data.image_set import ImageSet

    try:
        with path.open("rb") as file:
            content = loadmat(file)
        images, labels = content["X"], whole_labels(content["y"].reshape(-1))
    except Exception as error:  # a damaged file can raise anything
        raise unreadable(path, f"{type(error).__name__}: {error}") from error
    if images.dtype != np.uint8 or images.shape != (32, 32, 3, len(labels)):
        raise unreadable(path, f"X is {images.dtype} {images.shape}, not uint8 {(32, 32, 3, len(labels))}")
    if len(labels) == 0 or labels.min() < 0 or labels.max() > CLASSES:
        raise unreadable(path, "labels are not in 1 to 10")
    contiguous = np.ascontiguousarray(images.transpose(3, 2, 0, 1))
    return ImageSet(torch.from_numpy(contiguous), torch.from_numpy(labels % CLASSES))
