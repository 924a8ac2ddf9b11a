"""Published files of a data set: their expected paths, the check of their MD5, and their download."""

from __future__ import annotations

import hashlib
import warnings
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.data.reader import Reader
from core.data.staging import staged
from core.storage.address import is_s3


@dataclass(frozen=True)
class PublishedFiles:
    """The files of a data set on disk.

    torchvision refuses every file whose MD5 is not the published one, which would exclude subsets in the same format.
    Here another MD5 only causes a warning. Errors come from the readers' own checks (unreadable file, wrong shapes,
    types or labels).
    """

    dataset: str
    md5: dict[str, str]
    """Published MD5 of each file, by the path inside the data folder."""
    fetch: Callable[[Path], None]
    """Downloads the files into a folder."""

    def missing(self, data_dir: Path) -> list[Path]:
        """Expected files that do not exist in ``data_dir``."""
        return [data_dir / name for name in self.md5 if not (data_dir / name).is_file()]

    def require(self, data_dir: Path) -> None:
        """Raise ValueError if a file is missing."""
        missing = self.missing(data_dir)
        if missing:
            raise ValueError(
                f"dataset {self.dataset} needs {missing[0]}"
                f"{f' and {len(missing) - 1} more files' if len(missing) > 1 else ''}, not found;"
                f" set --data-dir to the folder that holds {next(iter(self.md5))}, or give --download"
            )

    def warn_if_changed(self, data_dir: Path) -> None:
        """Warn about existing files whose MD5 is not the published one."""
        changed = [name for name, md5 in self.md5.items() if _md5(data_dir / name) != md5]
        if changed:
            warnings.warn(
                f"not the published files of {self.dataset}, by their MD5: {', '.join(changed)} in {data_dir}",
                stacklevel=4,
            )

    def download(self, data_dir: Path) -> None:
        """Fetch missing files through torchvision, which verifies the MD5; existing files stay unchanged.

        Raises:
            ValueError: the download failed.
        """
        if not self.missing(data_dir):
            return
        try:
            self.fetch(data_dir)
        except (OSError, RuntimeError) as error:
            raise ValueError(f"--download of dataset {self.dataset} into {data_dir} failed: {error}") from error


class PublishedReader(Reader):
    """Reader of a data set that consists of published files."""

    @property
    @abstractmethod
    def files(self) -> PublishedFiles:
        """The data set's files."""

    def require(self, folder: Path) -> None:
        self.files.require(folder)

    def download(self, data_dir: str) -> None:
        if is_s3(data_dir):
            raise ValueError(f"--download is impossible into --data-dir {data_dir}; upload the files there")
        self.files.download(Path(data_dir))

    def staged(self, address: str) -> Path:
        return staged(address, self.options.dataset, self.files.md5)

    def warn_if_changed(self, folder: Path) -> None:
        self.files.warn_if_changed(folder)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def whole_labels(stored: ArrayLike) -> NDArray[np.int64]:
    """Labels of a file as int64 [N].

    Raises:
        ValueError: the labels are not a list of whole numbers.
    """
    labels = np.asarray(stored)
    if labels.ndim != 1 or labels.dtype.kind not in "iuf" or not np.array_equal(labels, np.rint(labels)):
        raise ValueError(f"labels are {labels.dtype} {labels.shape}, not a list of whole numbers")
    return labels.astype(np.int64)


def unreadable(path: Path, problem: str) -> ValueError:
    """The error for an existing file that can't be used."""
    return ValueError(f"{path} is corrupt or in another format: {problem}; delete it and get it again")
