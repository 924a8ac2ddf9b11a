from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from core.data.decoded_cache import decoded_once

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)


def test_those_who_start_together_decode_once(tmp_path: Path) -> None:
    """Every call opens the lock file again, so that threads exclude each other like processes."""
    decoded = []

    def decode() -> np.ndarray:
        decoded.append(1)
        time.sleep(0.3)
        return IMAGES

    def read(_: int) -> np.ndarray:
        return decoded_once(tmp_path, "train", ["a", "b"], IMAGES.shape, decode)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(read, range(4)))
    assert len(decoded) == 1
    for images in results:
        np.testing.assert_array_equal(images, IMAGES)
    assert len(list(tmp_path.glob("*.npy*"))) == 2, "the array and its lock; no unfinished file"


def test_other_file_names_are_another_array(tmp_path: Path) -> None:
    decoded_once(tmp_path, "train", ["a", "b"], IMAGES.shape, lambda: IMAGES)
    other = decoded_once(tmp_path, "train", ["a", "c"], IMAGES.shape, lambda: IMAGES + 1)
    np.testing.assert_array_equal(other, IMAGES + 1)
    validation = decoded_once(tmp_path, "val", ["a", "b"], IMAGES.shape, lambda: IMAGES + 2)
    np.testing.assert_array_equal(validation, IMAGES + 2)
