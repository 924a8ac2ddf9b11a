"""The copied file of the digits is scikit-learn's, and reading it needs neither scikit-learn nor, for labels, torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from core.config import DataOptions
from core.data.digits import Digits, digits


def test_images_and_labels_are_those_of_scikit_learn() -> None:
    train, test = digits()
    images = np.concatenate([train.images.numpy(), test.images.numpy()]).reshape(-1, 64)
    labels = np.concatenate([train.labels.numpy(), test.labels.numpy()])
    theirs = load_digits()
    expected = np.column_stack([np.round(theirs.data * 255 / 16), theirs.target]).astype(int)
    assert sorted(np.column_stack([images, labels]).tolist()) == sorted(expected.tolist())


def test_labels_are_those_of_the_training_images() -> None:
    labels = Digits(DataOptions(dataset="digits")).training_labels(Path())
    assert labels.tolist() == digits()[0].labels.tolist()


def test_a_driver_checks_the_labels_without_large_packages() -> None:
    code = (
        "import sys; from core.config import DataOptions; from core.data.load import check_files\n"
        "check_files(DataOptions(dataset='digits', validation_images=237), 'none')\n"
        "print({'sklearn', 'torch', 'scipy'} & {*sys.modules})"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "set()\n"
