"""Damaged files of data sets give a ValueError that names the file, and never wrong labels or executed code."""

from __future__ import annotations

import io
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from core.config import DataOptions
from core.data.cifar import read_cifar
from core.data.load import check_files, load_dataset
from core.data.svhn import read_svhn
from core.data.tiny_imagenet import read_tiny_imagenet, require_tiny_imagenet
from tests.bad_input.harness import JARGON, cases
from tests.bad_input.strategies import damaged
from tests.data.conftest import python2_pickle, write_cifars, write_svhns, write_tiny_imagenet

CIFARS = {"cifar10": "cifar-10-batches-py/data_batch_1", "cifar100": "cifar-100-python/train"}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_cifars(folder)
    write_svhns(folder)
    write_tiny_imagenet(folder / "tiny-imagenet-200", per_class=1)
    return folder


def complaint(read: Callable[[], object], *files: Path) -> str | None:
    """The error message of reading, or None if reading succeeds."""
    try:
        read()
    except ValueError as error:
        message = str(error)
        assert any(str(file) in message for file in files), message
        assert not [word for word in JARGON[:3] if word in message], message
        assert len(message) < 1500
        return message
    return None


def with_content(file: Path, content: bytes, read: Callable[[], object]) -> str | None:
    """Read the data set while ``file`` has ``content``."""
    whole = file.read_bytes()
    file.write_bytes(content)
    try:
        return complaint(read, file)
    finally:
        file.write_bytes(whole)


@pytest.mark.slow
@cases(250)
@given(data=st.data(), dataset=st.sampled_from(sorted(CIFARS)))
def test_cifar(data: st.DataObject, dataset: str, data_dir: Path) -> None:
    file = data_dir / CIFARS[dataset]
    whole = file.read_bytes()
    content = data.draw(damaged(whole))
    said = with_content(file, content, lambda: read_cifar(dataset, data_dir))
    if len(content) < len(whole):
        assert said, "a part of the file was taken for the whole"


@cases(250)
@given(data=st.data(), name=st.sampled_from(["train_32x32.mat", "test_32x32.mat"]))
def test_svhn(data: st.DataObject, name: str, data_dir: Path) -> None:
    file = data_dir / name
    whole = file.read_bytes()
    content = data.draw(damaged(whole))
    said = with_content(file, content, lambda: read_svhn(data_dir))
    if content != whole and whole.startswith(content):
        assert said


LABELS = {
    "a number": 3,
    "a table": [[i % 10] for i in range(40)],
    "fractions": [0.5] * 40,
    "texts": ["3"] * 40,
    "too many": [1] * 41,
    "too large": [10] * 40,
    "negative": [-1] * 40,
    "none": [],
    "nothing": None,
    "not a number": [float("nan")] * 40,
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_that_are_none(kind: str, data_dir: Path) -> None:
    images = np.zeros((40, 3072), dtype=np.uint8)
    file = data_dir / CIFARS["cifar10"]
    content = pickle.dumps({"data": images, "labels": LABELS[kind]}, protocol=2)
    assert with_content(file, content, lambda: read_cifar("cifar10", data_dir))
    if kind not in ("nothing", "too large", "a table"):  # Label 10 is digit 0 in SVHN, and its labels are a column.
        stored = io.BytesIO()
        savemat(stored, {"X": np.zeros((32, 32, 3, 40), dtype=np.uint8), "y": np.array(LABELS[kind])})
        assert with_content(data_dir / "train_32x32.mat", stored.getvalue(), lambda: read_svhn(data_dir))


class Runs:
    """A pickle that runs a command when it is read."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("protocol", range(6))
def test_no_code_in_a_data_file_is_run(protocol: int, data_dir: Path, tmp_path: Path) -> None:
    trace = tmp_path / "hacked"
    content = pickle.dumps({"data": Runs(trace), "labels": []}, protocol=protocol)
    assert with_content(data_dir / CIFARS["cifar10"], content, lambda: read_cifar("cifar10", data_dir))
    assert not trace.exists()
    pickle.loads(content)
    assert trace.exists(), "the pickle does what it is to do"


TINY = ["wnids.txt", "val/val_annotations.txt", "val/images/val_7.JPEG", "train/n00000003/images/n00000003_0.JPEG"]


@cases(60)
@given(data=st.data(), name=st.sampled_from(TINY[:2]))
@pytest.mark.slow
def test_tiny_imagenets_lists(data: st.DataObject, name: str, data_dir: Path) -> None:
    root = data_dir / "tiny-imagenet-200"
    content = data.draw(damaged((root / name).read_bytes()))

    def read() -> None:
        require_tiny_imagenet(data_dir)
        read_tiny_imagenet(data_dir)

    whole = (root / name).read_bytes()
    (root / name).write_bytes(content)
    try:
        # A list with another name makes the reader look for a missing file. The error then names that file.
        complaint(read, root)
    finally:
        (root / name).write_bytes(whole)
        for cache in root.glob("decoded-*"):
            cache.unlink()


@cases(15)
@given(data=st.data(), name=st.sampled_from(TINY[2:]))
def test_tiny_imagenets_images(data: st.DataObject, name: str, data_dir: Path) -> None:
    root = data_dir / "tiny-imagenet-200"
    for cache in root.glob("decoded-*"):
        cache.unlink()
    whole = (root / name).read_bytes()
    content = data.draw(damaged(whole))
    said = with_content(root / name, content, lambda: read_tiny_imagenet(data_dir))
    if len(content) < 100:
        assert said
    for cache in root.glob("decoded-*"):
        cache.unlink()


@cases(60)
@given(data=st.data())
def test_the_cache_of_decoded_images(data: st.DataObject, data_dir: Path) -> None:
    root = data_dir / "tiny-imagenet-200"
    train, _ = read_tiny_imagenet(data_dir)
    (cache,) = root.glob("decoded-train-*.npy")
    whole = cache.read_bytes()
    head = data.draw(damaged(whole[:200]))
    content = head + whole[200:] if data.draw(st.booleans()) else data.draw(damaged(whole[:4000]))
    if not with_content(cache, content, lambda: read_tiny_imagenet(data_dir)):
        assert len(content) >= train.images.numel()


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "svhn", "tiny-imagenet-200"])
def test_what_is_there_but_no_file(dataset: str, data_dir: Path, tmp_path: Path) -> None:
    options = DataOptions(dataset=dataset, validation_images=10)
    for read in (check_files, load_dataset):
        with pytest.raises(ValueError, match=f"{dataset} needs .*--data-dir"):
            read(options, tmp_path)
        with pytest.raises(ValueError, match="--data-dir"):
            read(options, data_dir / CIFARS["cifar10"])  # This is a file instead of a folder.
    (tmp_path / "data").mkdir()
    shutil.copytree(data_dir, tmp_path / "data", dirs_exist_ok=True)
    for name in ("train_32x32.mat", *CIFARS.values(), "tiny-imagenet-200/wnids.txt"):
        (tmp_path / "data" / name).unlink()
        (tmp_path / "data" / name).mkdir()
    with pytest.raises(ValueError, match=f"dataset {dataset} needs {tmp_path}/data/"):
        check_files(options, tmp_path / "data")


def test_the_pickles_of_this_test_are_read_when_whole(data_dir: Path) -> None:
    content = python2_pickle(np.zeros((40, 3072), dtype=np.uint8), [3] * 40, "labels")
    assert with_content(data_dir / CIFARS["cifar10"], content, lambda: read_cifar("cifar10", data_dir)) is None
