"""Tiny-ImageNet-200 (Stanford CS231n) from its standard folder of JPEGs."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.config.names import SAFE_NAME
from core.data.dataset_files import unreadable
from core.data.decoded_cache import decoded_once
from core.data.reader import Reader
from core.data.staging import staged

if TYPE_CHECKING:
    from core.data.image_set import ImageSet

FOLDER = "tiny-imagenet-200"
ARCHIVE = f"{FOLDER}.zip"
CLASSES, SIDE = 200, 64

Labelled = list[tuple[Path, int]]


class TinyImageNet(Reader):
    """Reader of ``tiny-imagenet-200``."""

    def read(self, folder: Path) -> tuple[ImageSet, ImageSet]:
        return read_tiny_imagenet(folder)

    def require(self, folder: Path) -> None:
        require_tiny_imagenet(folder)

    def download(self, data_dir: str) -> None:
        raise ValueError(f"--download is impossible with dataset {FOLDER}; unpack it into --data-dir")

    def staged(self, address: str) -> Path:
        return staged(address, FOLDER, {ARCHIVE: ""}, archive=ARCHIVE)


def require_tiny_imagenet(data_dir: Path) -> None:
    """Raise ValueError if a file list or a folder of images is missing."""
    root = data_dir / FOLDER
    for part in ("wnids.txt", "train/", "val/val_annotations.txt", "val/images/"):
        path = root / part
        if not (path.is_dir() if part.endswith("/") else path.is_file()):
            raise ValueError(
                f"dataset {FOLDER} needs {root / part}, not found; set --data-dir to the folder that holds the"
                f" unpacked {FOLDER} (--download is impossible with this dataset)"
            )
    for _, folder in _class_folders(root):
        if not folder.is_dir():
            raise ValueError(f"dataset {FOLDER} needs {folder}, not found; unpack the archive again")


def read_tiny_imagenet(data_dir: Path) -> tuple[ImageSet, ImageSet]:
    """Training images and, as test set, the validation folder (the test folder has no labels).

    A class's label is the position of its wnid in sorted order. The first call decodes all JPEGs and stores the arrays
    in the data set's folder (see `decoded_once`).

    Raises:
        ValueError: a file is corrupt, or names an unknown class or image.
    """
    root = data_dir / FOLDER
    return _read(root, "train", _list_train(root)), _read(root, "val", _list_validation(root))


def _read(root: Path, split: str, listed: Labelled) -> ImageSet:
    import torch  # not at the top: a driver only asks whether files exist, and torch takes seconds

    from core.data.image_set import ImageSet

    paths = [path for path, _ in listed]
    names = [path.relative_to(root).as_posix() for path in paths]
    images = decoded_once(root, split, names, (len(paths), 3, SIDE, SIDE), lambda: _decode_all(paths))
    return ImageSet(torch.from_numpy(images), torch.tensor([label for _, label in listed]))


def _wnids(root: Path) -> list[str]:
    wnids = sorted(set(_read_text(root / "wnids.txt").split()))
    if odd := next((wnid for wnid in wnids if not SAFE_NAME.fullmatch(wnid)), None):
        raise unreadable(root / "wnids.txt", f"{odd[:100]!r} is not the name of a folder")
    if len(wnids) != CLASSES:
        raise unreadable(root / "wnids.txt", f"it lists {len(wnids)} classes, not {CLASSES}")
    return wnids


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise unreadable(path, str(error)) from error


def _class_folders(root: Path) -> list[tuple[str, Path]]:
    return [(wnid, root / "train" / wnid / "images") for wnid in _wnids(root)]


def _list_train(root: Path) -> Labelled:
    listed: Labelled = []
    for label, (_, folder) in enumerate(_class_folders(root)):
        images = sorted(folder.glob("*.JPEG"))
        if not images:
            raise ValueError(f"dataset {FOLDER} needs JPEG files in {folder}, which has none; unpack the archive again")
        listed += [(path, label) for path in images]
    return listed


def _list_validation(root: Path) -> Labelled:
    annotations = root / "val" / "val_annotations.txt"
    labels = {wnid: label for label, wnid in enumerate(_wnids(root))}
    listed: Labelled = []
    for number, line in enumerate(_read_text(annotations).splitlines(), start=1):
        columns = line.split("\t")
        if len(columns) < 2 or columns[1] not in labels or not SAFE_NAME.fullmatch(columns[0]):
            raise unreadable(annotations, f"line {number} is {line[:100]!r}, not an image's name and its class")
        listed.append((root / "val" / "images" / columns[0], labels[columns[1]]))
    if not listed:
        raise unreadable(annotations, "it lists no images")
    return listed


def _decode_all(paths: Sequence[Path]) -> NDArray[np.uint8]:
    images = np.empty((len(paths), 3, SIDE, SIDE), dtype=np.uint8)

    def decode(index: int) -> None:
        images[index] = _decode(paths[index])

    # Threads are enough, because Pillow releases the GIL while it decodes.
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(decode, range(len(paths)), chunksize=256):
            pass
    return images


def _decode(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))  # some of the published JPEGs are grey
    except Exception as error:  # a damaged file can raise anything
        raise unreadable(path, f"{type(error).__name__}: {error}") from error
    if pixels.shape != (SIDE, SIDE, 3):
        raise unreadable(path, f"it has {pixels.shape[1]} x {pixels.shape[0]} pixels, not {SIDE} x {SIDE}")
    return pixels.transpose(2, 0, 1)
