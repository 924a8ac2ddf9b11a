"""The interface of data set readers; `core.config.datasets` names the reader of each data set."""

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
    """Reads one data set. By default the methods about files do nothing, as for a data set without files."""

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
        """Labels of the training images: int64 [N]. Override it if labels are known without the images."""
        return self.read(folder)[0].labels.numpy()

    def require(self, folder: Path) -> None:  # noqa: B027
        """Raise ValueError if a file is missing in ``folder``."""

    def download(self, data_dir: str) -> None:  # noqa: B027
        """Fetch missing files into ``data_dir``.

        Raises:
            ValueError: the data set can't be downloaded, or the download failed.
        """

    def staged(self, address: str) -> Path:
        """A local folder with the data set's files from the bucket at ``address``; missing files are fetched.

        Raises:
            ValueError: see `core.data.staging.staged`.
        """
        return Path()

    def warn_if_changed(self, folder: Path) -> None:  # noqa: B027
        """Warn about readable files that are not the published ones."""


def open_reader(options: DataOptions) -> Reader:
    """The reader of the data set that the options choose.

    The reader's module is imported here and not earlier, because other readers' libraries take time and every trial is
    a new process.
    """
    reader: Reader = resolve_name(find_dataset(options.dataset).reader)(options)
    return reader
