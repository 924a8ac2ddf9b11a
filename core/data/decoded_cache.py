"""A cache of decoded images: a folder is decoded once, and all processes and runs share the result."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

Decode = Callable[[], NDArray[np.uint8]]


def decoded_once(
    folder: Path, split: str, names: Sequence[str], shape: tuple[int, ...], decode: Decode
) -> NDArray[np.uint8]:
    """The array that ``decode()`` returns (uint8, ``shape``), cached in the file ``folder/decoded-SPLIT-HASH.npy``.

    The hash covers the file names, which detects added and removed files. After a change inside a file, the .npy file
    has to be deleted. If several processes start together, one decodes and the others wait for it. In a folder that
    can't be written, every call decodes.
    """
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    path = folder / f"decoded-{split}-{digest}.npy"
    if path.exists():
        return _load(path, shape)
    if not os.access(folder, os.W_OK):
        return decode()
    with FileLock(f"{path}.lock"):
        if path.exists():
            return _load(path, shape)
        images = decode()
        _write(path, images)
        return images


def _load(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        with path.open("rb") as file:
            images = np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # a damaged header can raise anything
        raise ValueError(f"{path} is corrupt ({type(error).__name__}: {error}); delete it") from error
    if images.dtype != np.uint8 or images.shape != shape:
        raise ValueError(f"{path} holds {images.dtype} {images.shape}, not uint8 {shape}; delete it")
    return images


def _write(path: Path, images: NDArray[np.uint8]) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            np.save(file, images)
        unfinished.replace(path)
    except OSError:  # with a full disk, the run continues without the cache
        unfinished.unlink(missing_ok=True)
