from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from torchvision.datasets import SVHN

from core.config import DataOptions
from core.data.load import check_files, download_files, load_dataset
from core.data.svhn import FILES, read_svhn

OPTIONS = DataOptions(dataset="svhn", validation_images=50)


def publish(folder: Path, monkeypatch: pytest.MonkeyPatch, server: str = "") -> None:
    """Replace all checksums and torchvision's addresses by those of the files in ``folder`` on ``server``."""
    paths = {split: folder / f"{split}_32x32.mat" for split in ("train", "test")}
    table = {
        split: [f"{server}/{path.name}", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
        for split, path in paths.items()
    }
    monkeypatch.setattr(SVHN, "split_list", table)
    for _, name, md5 in table.values():
        monkeypatch.setitem(FILES, name, md5)


def test_the_published_files_are_torchvisions() -> None:
    assert [*FILES.items()] == [tuple(SVHN.split_list[split][1:]) for split in ("train", "test")]


def test_images_and_labels_are_torchvisions(svhn_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(svhn_dir, monkeypatch)
    for ours, split in zip(read_svhn(svhn_dir), ("train", "test"), strict=True):
        theirs = SVHN(svhn_dir, split=split)
        np.testing.assert_array_equal(ours.images, theirs.data)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        assert set(ours.labels.tolist()) == set(range(10))


def test_other_files_in_the_format_are_read_with_a_warning(svhn_dir: Path) -> None:
    with pytest.warns(
        UserWarning, match=r"not the published files of svhn, by their MD5: train_32x32.mat, test_32x32.mat"
    ):
        check_files(OPTIONS, svhn_dir)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def no_images(path: Path) -> None:
    savemat(path, {"y": np.ones((3, 1))})


def wrong_shape(path: Path) -> None:
    savemat(path, {"X": np.zeros((3, 32, 32, 3), np.uint8), "y": np.ones((3, 1), np.uint8)})


def label_out_of_range(path: Path) -> None:
    savemat(path, {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": np.array([[1], [11]], np.uint8)})


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, empty, no_images, wrong_shape, label_out_of_range])
@pytest.mark.parametrize("split", ["train", "test"])
def test_corrupt_files_are_named(damage: Callable[[Path], object], split: str, svhn_dir: Path) -> None:
    damage(svhn_dir / f"{split}_32x32.mat")
    for refuse in (check_files, load_dataset):
        with pytest.raises(ValueError, match=f"{split}_32x32.mat is corrupt or in another format: .*delete it"):
            refuse(OPTIONS, svhn_dir)


def test_download_fetches_both_splits(
    svhn_dir: Path, tmp_path: Path, serve: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(svhn_dir, monkeypatch, serve(svhn_dir))
    download_files(OPTIONS, tmp_path / "new")
    for split in ("train", "test"):
        name = f"{split}_32x32.mat"
        assert (tmp_path / "new" / name).read_bytes() == (svhn_dir / name).read_bytes()
