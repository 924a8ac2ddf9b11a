"""`digits`: scikit-learn's 1,797 handwritten digits of 8x8 pixels, read without scikit-learn.

``digits.csv.gz`` is the file of scikit-learn 1.9: 64 grey levels from 0 to 16 and the label in each line. They are the
test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository,
1998, doi:10.24432/C50P49, CC BY 4.0). An import of scikit-learn takes a second in each process of a sweep.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.data.reader import Reader
from core.data.split import stratified_split

if TYPE_CHECKING:
    from core.data.image_set import ImageSet

FILE = Path(__file__).with_name("digits.csv.gz")
TEST_IMAGES = 360


class Digits(Reader):
    """Reader of ``digits``, whose file lies beside this module."""

    def read(self, folder: Path) -> tuple[ImageSet, ImageSet]:
        return digits()

    def training_labels(self, folder: Path) -> NDArray[np.int64]:
        labels = _read()[1]
        return labels[stratified_split(labels, TEST_IMAGES)[0]]


def digits() -> tuple[ImageSet, ImageSet]:
    """1,437 training and 360 test images; the test set is stratified and fixed. Levels 0-16 are scaled to 0-255."""
    import torch

    from core.data.image_set import ImageSet

    levels, labels = _read()
    images = np.rint(levels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    everything = ImageSet(torch.from_numpy(images), torch.from_numpy(labels))
    train, test = stratified_split(labels, TEST_IMAGES)
    return everything.take(train), everything.take(test)


def _read() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Grey levels [1797, 64] and labels [1797]."""
    table = np.loadtxt(FILE, delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64)
