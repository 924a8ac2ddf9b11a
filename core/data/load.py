"""One entry point for all data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.config import DataOptions
from core.config.datasets import find_dataset
from core.data.reader import Reader, open_reader
from core.data.split import stratified_split
from core.storage.address import is_s3

if TYPE_CHECKING:
    from core.data.image_set import Dataset


def load_dataset(options: DataOptions, data_dir: Path | str, download: bool = False) -> Dataset:
    """Training, validation and test images, the same for every trial with these options.

    Validation images are held out of the published training set, stratified by class (`stratified_split`); any prefix
    of them is stratified too.

    Args:
        options: which data set, and how many validation images.
        data_dir: the folder, or ``s3://`` address, that holds the standard files; not used by ``fields`` and
            ``digits``. From S3 they are fetched once per machine (`core.data.staging`).
        download: fetch missing files first, if torchvision provides the data set.

    Raises:
        ValueError: files are missing or corrupt, the download failed, or a class would be left without training images.
    """
    from core.data.image_set import Dataset  # imported late: the driver only checks files, without torch

    reader = open_reader(options)
    if download:
        reader.download(str(data_dir))
    folder = _local_folder(reader, data_dir)
    reader.require(folder)
    training, test = reader.read(folder)
    train, validation = stratified_split(training.labels.numpy(), options.validation_images)
    return Dataset(training.take(train), training.take(validation), test)


def check_files(options: DataOptions, data_dir: Path | str) -> None:
    """Raise the ValueError that `load_dataset` would raise, without generating the images of `fields`.

    Files are read in full. The first check of Tiny-ImageNet takes as long as decoding it; all trials then share the
    decoded images. Readable files that are not the published ones cause a warning.
    """
    reader = open_reader(options)
    folder = _local_folder(reader, data_dir)
    reader.require(folder)
    stratified_split(reader.training_labels(folder), options.validation_images)
    reader.warn_if_changed(folder)


def require_files(options: DataOptions, data_dir: Path | str) -> None:
    """Raise ValueError if a file of the data set is missing in a local folder. No file is read."""
    if find_dataset(options.dataset).needs_files and not is_s3(str(data_dir)):
        open_reader(options).require(Path(data_dir))


def download_files(options: DataOptions, data_dir: Path | str) -> None:
    """Fetch missing files of CIFAR and SVHN; a data set that needs no files needs no download.

    Raises:
        ValueError: the data set can't be downloaded, or the download failed.
    """
    open_reader(options).download(str(data_dir))


def _local_folder(reader: Reader, data_dir: Path | str) -> Path:
    """The local folder of the data set's files; files in a bucket are fetched first."""
    return reader.staged(str(data_dir)) if is_s3(str(data_dir)) else Path(data_dir)
