"""One entry point for all data sets.

Readers are imported where they are used: torchvision and scikit-learn take seconds, and every trial is a new process.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from core.config import DataOptions
from core.data.fields import field_labels, fields
from core.data.image_set import Dataset, ImageSet
from core.data.split import stratified_split
from core.storage.address import is_s3

if TYPE_CHECKING:
    from core.data.dataset_files import PublishedFiles

TINY_IMAGENET = "tiny-imagenet-200"


def load_dataset(options: DataOptions, data_dir: Path | str, download: bool = False) -> Dataset:
    """Training, validation and test images, the same for every trial with these options.

    Validation images are held out of the published training set, stratified by class (`stratified_split`); any prefix
    of them is stratified too.

    Args:
        options: which data set, and how many validation images.
        data_dir: the folder, or ``s3://`` address, that holds the standard files; not used by ``fields`` and
            ``digits``. From S3 they are fetched once per machine (`core.data.staging`).
        download: fetch missing files first, where torchvision can.

    Raises:
        ValueError: files are missing or corrupt, the download failed, or a class would be left without training images.
    """
    if download:
        download_files(options, data_dir)
    folder = _local_folder(options, data_dir)
    _require_files(options, folder)
    training, test = _read(options, folder)
    train, validation = stratified_split(training.labels, options.validation_images)
    return Dataset(training.take(train), training.take(validation), test)


def check_files(options: DataOptions, data_dir: Path | str) -> None:
    """Raise the ValueError that `load_dataset` would raise; `fields` is not generated for it.

    Files are read in full. The first time, this takes as long as decoding Tiny-ImageNet, whose result every trial then
    shares. Warns about readable files that are not the published ones.
    """
    folder = _local_folder(options, data_dir)
    _require_files(options, folder)
    stratified_split(_training_labels(options, folder), options.validation_images)
    published = _published(options)
    if published:
        published.warn_if_changed(folder)


def download_files(options: DataOptions, data_dir: Path | str) -> None:
    """Fetch missing files of CIFAR and SVHN; a data set that needs no files needs no download.

    Raises:
        ValueError: the data set can't be downloaded, or the download failed.
    """
    published = _published(options)
    if published and is_s3(str(data_dir)):
        raise ValueError(f"--download is impossible into --data-dir {data_dir}; upload the files there")
    if published:
        published.download(Path(data_dir))
    elif options.dataset == TINY_IMAGENET:
        raise ValueError(f"--download is impossible with dataset {TINY_IMAGENET}; unpack it into --data-dir")


def _local_folder(options: DataOptions, data_dir: Path | str) -> Path:
    """Where the data set's files are on this machine, fetched if they are in a bucket."""
    if not is_s3(str(data_dir)):
        return Path(data_dir)
    from core.data.staging import staged

    published = _published(options)
    if published:
        return staged(str(data_dir), options.dataset, published.md5)
    if options.dataset == TINY_IMAGENET:
        return staged(str(data_dir), TINY_IMAGENET, {f"{TINY_IMAGENET}.zip": ""}, archive=f"{TINY_IMAGENET}.zip")
    return Path()


def _published(options: DataOptions) -> PublishedFiles | None:
    match options.dataset:
        case "cifar10" | "cifar100":
            from core.data.cifar import cifar_files

            return cifar_files(options.dataset)
        case "svhn":
            from core.data.svhn import svhn_files

            return svhn_files()
        case _:
            return None


def _require_files(options: DataOptions, data_dir: Path) -> None:
    published = _published(options)
    if published:
        published.require(data_dir)
    elif options.dataset == TINY_IMAGENET:
        from core.data.tiny_imagenet import require_tiny_imagenet

        require_tiny_imagenet(data_dir)


def _read(options: DataOptions, data_dir: Path) -> tuple[ImageSet, ImageSet]:
    match options.dataset:
        case "fields":
            return fields(options)
        case "digits":
            from core.data.digits import digits

            return digits()
        case "cifar10" | "cifar100":
            from core.data.cifar import read_cifar

            return read_cifar(options.dataset, data_dir)
        case "svhn":
            from core.data.svhn import read_svhn

            return read_svhn(data_dir)
        case "tiny-imagenet-200":
            from core.data.tiny_imagenet import read_tiny_imagenet

            return read_tiny_imagenet(data_dir)


def _training_labels(options: DataOptions, data_dir: Path) -> Tensor:
    if options.dataset == "fields":
        assert options.train_images is not None
        return field_labels(options.train_images, options.classes)
    return _read(options, data_dir)[0].labels
