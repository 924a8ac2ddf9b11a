"""`digits`: scikit-learn's 1,797 handwritten digits of 8x8 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from core.data.image_set import ImageSet
from core.data.reader import Reader
from core.data.split import stratified_split

TEST_IMAGES = 360


class Digits(Reader):
    """Reader of ``digits``, which comes with scikit-learn."""

    def read(self, folder: Path) -> tuple[ImageSet, ImageSet]:
        return digits()


def digits() -> tuple[ImageSet, ImageSet]:
    """1,437 training and 360 test images; the test set is stratified and fixed. Levels 0-16 are scaled to 0-255."""
    loaded = load_digits()
    images = np.rint(loaded.images * (255 / 16)).astype(np.uint8)[:, None]
    everything = ImageSet(torch.from_numpy(images), torch.from_numpy(loaded.target.astype(np.int64)))
    train, test = stratified_split(everything.labels.numpy(), TEST_IMAGES)
    return everything.take(train), everything.take(test)
