from __future__ import annotations

import hashlib
import os
import pickle
import tarfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, CIFAR100

from core.config import DataOptions
from core.data.cifar import FILES, read_cifar
from core.data.load import check_files, download_files, load_dataset

CIFAR = DataOptions(dataset="cifar10", validation_images=50)
TORCHVISION = {"cifar10": CIFAR10, "cifar100": CIFAR100}


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def publish(dataset: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace our checksums and torchvision's by those of the files in ``data_dir``."""
    source = TORCHVISION[dataset]
    folder = data_dir / source.base_folder
    for table in ("train_list", "test_list"):
        monkeypatch.setattr(source, table, [[name, md5(folder / name)] for name, _ in getattr(source, table)])
    ours = replace(FILES[dataset], train=dict(source.train_list), test=dict(source.test_list))
    monkeypatch.setitem(FILES, dataset, ours)
    monkeypatch.setattr(source, "meta", {**source.meta, "md5": md5(folder / source.meta["filename"])})


@pytest.mark.parametrize("dataset, source", TORCHVISION.items())
def test_the_published_files_are_torchvisions(dataset: str, source: type[CIFAR10]) -> None:
    ours = FILES[dataset]
    assert ours.folder == source.base_folder
    assert [*ours.train.items()] == [*map(tuple, source.train_list)]
    assert [*ours.test.items()] == [*map(tuple, source.test_list)]


@pytest.mark.parametrize("dataset, source", TORCHVISION.items())
def test_images_and_labels_are_torchvisions(
    dataset: str, source: type[CIFAR10], cifar_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(dataset, cifar_dir, monkeypatch)
    for ours, train in zip(read_cifar(dataset, cifar_dir), (True, False), strict=True):
        theirs = source(cifar_dir, train=train)
        np.testing.assert_array_equal(ours.images.permute(0, 2, 3, 1), theirs.data)
        assert ours.labels.tolist() == theirs.targets


def test_reading_warns_of_nothing_and_published_files_pass_silently(
    cifar_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("cifar10", cifar_dir, monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_files(CIFAR, cifar_dir)


def test_other_files_in_the_format_are_read_with_a_warning(cifar_dir: Path) -> None:
    with pytest.warns(UserWarning, match=r"not the published files of cifar10, by their MD5: .*/data_batch_1, "):
        check_files(CIFAR, cifar_dir)
    assert len(load_dataset(CIFAR, cifar_dir).train) == 150


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def fewer_labels(path: Path) -> None:
    path.write_bytes(pickle.dumps({"data": np.zeros((5, 3072), np.uint8), "labels": [0] * 4}))


def wrong_dtype(path: Path) -> None:
    path.write_bytes(pickle.dumps({"data": np.zeros((5, 3072)), "labels": [0] * 5}))


def label_out_of_range(path: Path) -> None:
    path.write_bytes(pickle.dumps({"data": np.zeros((5, 3072), np.uint8), "labels": [0, 1, 2, 3, 10]}))


def no_labels(path: Path) -> None:
    path.write_bytes(pickle.dumps({"data": np.zeros((5, 3072), np.uint8)}))


class Payload:
    def __reduce__(self) -> tuple:
        return os.system, ("touch ran",)


def program(path: Path) -> None:
    path.write_bytes(pickle.dumps({"data": Payload(), "labels": []}))


DAMAGES = [truncate, empty, fewer_labels, wrong_dtype, label_out_of_range, no_labels, program]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["data_batch_3", "test_batch"])
def test_corrupt_files_are_named(
    damage: Callable[[Path], object], name: str, cifar_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cifar_dir)
    damage(cifar_dir / "cifar-10-batches-py" / name)
    for refuse in (check_files, load_dataset):
        with pytest.raises(ValueError, match=f"{name} is corrupt or in another format: .*delete it"):
            refuse(CIFAR, cifar_dir)
    assert not (cifar_dir / "ran").exists()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_files_pickled_by_todays_python_are_read(protocol: int, cifar_dir: Path) -> None:
    data = np.random.default_rng(0).integers(0, 256, (20, 3072), dtype=np.uint8)
    batch = {"data": data, "labels": [i % 10 for i in range(20)], "filenames": ["a.png"] * 20}
    (cifar_dir / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(batch, protocol=protocol))
    test = read_cifar("cifar10", cifar_dir)[1]
    assert torch.equal(test.images.flatten(1), torch.from_numpy(data))
    assert test.labels.tolist() == batch["labels"]


def test_missing_file_is_named(cifar_dir: Path) -> None:
    (cifar_dir / "cifar-10-batches-py" / "data_batch_4").unlink()
    with pytest.raises(ValueError, match=r"needs .*data_batch_4, not found;"):
        check_files(CIFAR, cifar_dir)


@pytest.fixture
def archive(
    cifar_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
    serve: Callable[[Path], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """An archive of CIFAR-10 on a server from which torchvision downloads it."""
    publish("cifar10", cifar_dir, monkeypatch)
    path = tmp_path_factory.mktemp("server") / CIFAR10.filename
    with tarfile.open(path, "w:gz") as tar:
        tar.add(cifar_dir / CIFAR10.base_folder, CIFAR10.base_folder)
    monkeypatch.setattr(CIFAR10, "url", f"{serve(path.parent)}/{path.name}")
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(path))
    return path


def test_download_fetches_what_is_missing(archive: Path, cifar_dir: Path, tmp_path: Path) -> None:
    fetched = load_dataset(CIFAR, tmp_path / "new" / "folder", download=True)
    assert torch.equal(fetched.train.images, load_dataset(CIFAR, cifar_dir).train.images)
    archive.unlink()
    download_files(CIFAR, tmp_path / "new" / "folder")


def test_failed_downloads_are_explained(archive: Path, tmp_path: Path) -> None:
    with archive.open("r+b") as file:
        file.truncate(100)
    with pytest.raises(ValueError, match=r"--download of dataset cifar10 into .*broken failed"):
        download_files(CIFAR, tmp_path / "broken")
    archive.unlink()
    with pytest.raises(ValueError, match=r"--download of dataset cifar10 into .*nothing failed"):
        download_files(CIFAR, tmp_path / "nothing")
