"""What a data set's reader does; `core.config.datasets` names the reader of each data set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.config import DataOptions
from core.config.datasets import find_dataset

if TYPE_CHECKING:
    from core.data.image_set import ImageSet


class Reader(ABC):
    """Reads one data set. Methods about files do nothing by default, as suits a data set that has none."""

    def __init__(self, options: DataOptions) -> None:
        self.options = options

    @abstractmethod
    def read(self, folder: Path) -> tuple[ImageSet, ImageSet]:
        """All published training images, and the test images.

        Args:
            folder: holds the files that `require` has found.

        Raises:
            ValueError: a file is corrupt.
        """

    def training_labels(self, folder: Path) -> NDArray[np.int64]:
        """Labels of the training images: int64 [N]. Override it where images need not be made for them."""
        return self.read(folder)[0].labels.numpy()

    def require(self, folder: Path) -> None:  # noqa: B027
        """Raise ValueError where a file is missing in ``folder``."""

    def download(self, data_dir: str) -> None:  # noqa: B027
        """Fetch missing files into ``data_dir``.

        Raises:
            ValueError: this is impossible, or it failed.
        """

    def staged(self, address: str) -> Path:
        """A local folder with the files that the bucket at ``address`` holds; they are fetched where they are missing.

        Raises:
            ValueError: see `core.data.staging.staged`.
        """
        return Path()

    def warn_if_changed(self, folder: Path) -> None:  # noqa: B027
        """Warn about readable files that are not the published ones."""


def open_reader(options: DataOptions) -> Reader:
    """The reader of the data set that the options choose.

    Its module is imported here and not before: torchvision and scikit-learn take seconds, and every trial is a new
    process.
    """
    reader: Reader = resolve_name(find_dataset(options.dataset).reader)(options)
    return reader
