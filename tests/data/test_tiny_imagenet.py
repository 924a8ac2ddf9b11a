from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from core.config import DataOptions
from core.data.load import check_files, download_files, load_dataset
from core.data.tiny_imagenet import read_tiny_imagenet

OPTIONS = DataOptions(dataset="tiny-imagenet-200", validation_images=100)
CLASS = "n00000007"


@pytest.fixture
def root(tiny_imagenet_dir: Path) -> Path:
    return tiny_imagenet_dir / "tiny-imagenet-200"


def caches(root: Path) -> list[Path]:
    return sorted(root.glob("decoded-*.npy"))


def test_training_images_and_labels_are_those_of_an_image_folder(tiny_imagenet_dir: Path, root: Path) -> None:
    train, _ = read_tiny_imagenet(tiny_imagenet_dir)
    theirs = ImageFolder(str(root / "train"))
    assert train.labels.tolist() == theirs.targets
    for image, (other, _) in zip(train.images, theirs, strict=True):
        np.testing.assert_array_equal(image.permute(1, 2, 0), np.asarray(other))


def test_the_validation_folder_is_the_test_set_labelled_by_its_annotations(tiny_imagenet_dir: Path, root: Path) -> None:
    _, test = read_tiny_imagenet(tiny_imagenet_dir)
    lines = (root / "val" / "val_annotations.txt").read_text().splitlines()
    for image, label, line in zip(test.images, test.labels.tolist(), lines, strict=True):
        name, wnid = line.split("\t")[:2]
        assert int(wnid[1:]) == label  # The fixture's wnids are ascending numbers.
        np.testing.assert_array_equal(image.permute(1, 2, 0), np.asarray(Image.open(root / "val" / "images" / name)))


def test_images_are_decoded_once(tiny_imagenet_dir: Path, root: Path) -> None:
    first = read_tiny_imagenet(tiny_imagenet_dir)
    assert len(caches(root)) == 2
    for path in root.glob("*/**/*.JPEG"):
        path.write_bytes(b"")
    for one, other in zip(first, read_tiny_imagenet(tiny_imagenet_dir), strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)


def test_added_images_are_noticed(tiny_imagenet_dir: Path, root: Path) -> None:
    train, _ = read_tiny_imagenet(tiny_imagenet_dir)
    folder = root / "train" / CLASS / "images"
    Image.new("RGB", (64, 64), (255, 0, 0)).save(folder / f"{CLASS}_0a.JPEG")
    again, _ = read_tiny_imagenet(tiny_imagenet_dir)
    assert len(again) == len(train) + 1
    added = int((again.labels == 7).nonzero()[1])
    assert again.images[added, :, 5, 5].tolist() == [254, 0, 0]
    keep = np.arange(len(again)) != added
    np.testing.assert_array_equal(again.images[keep], train.images)


def test_a_truncated_cache_is_named(tiny_imagenet_dir: Path, root: Path) -> None:
    read_tiny_imagenet(tiny_imagenet_dir)
    path = caches(root)[0]
    for damaged in (path.read_bytes()[:-100], b"", path.read_bytes()[:20]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"{path.name} is corrupt .*; delete it"):
            check_files(OPTIONS, tiny_imagenet_dir)


def test_a_folder_that_cannot_be_written_works_without_a_cache(
    tiny_imagenet_dir: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.chmod(0o555)
    if os.geteuid() == 0:  # Root can write in every folder, and the test therefore runs as another user.
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    train, _ = read_tiny_imagenet(tiny_imagenet_dir)
    root.chmod(0o755)
    assert len(train) == 600
    assert not list(root.glob("*decoded*"))


def truncated_image(root: Path) -> Path:
    path = root / "train" / CLASS / "images" / f"{CLASS}_2.JPEG"
    path.write_bytes(path.read_bytes()[:600])
    return path


def empty_image(root: Path) -> Path:
    path = root / "val" / "images" / "val_3.JPEG"
    path.write_bytes(b"")
    return path


def large_image(root: Path) -> Path:
    path = root / "train" / CLASS / "images" / f"{CLASS}_0.JPEG"
    Image.new("RGB", (65, 64)).save(path)
    return path


def short_wnids(root: Path) -> Path:
    path = root / "wnids.txt"
    path.write_text("n00000001\n")
    return path


def unknown_class(root: Path) -> Path:
    path = root / "val" / "val_annotations.txt"
    path.write_text("val_0.JPEG\tn99999999\t0\t0\t9\t9\n")
    return path


def no_annotations(root: Path) -> Path:
    path = root / "val" / "val_annotations.txt"
    path.write_text("")
    return path


def missing_image(root: Path) -> Path:
    path = root / "val" / "images" / "val_3.JPEG"
    path.unlink()
    return path


DAMAGES = [truncated_image, empty_image, large_image, short_wnids, unknown_class, no_annotations, missing_image]


@pytest.mark.parametrize("damage", DAMAGES)
def test_corrupt_files_are_named(damage: Callable[[Path], object], tiny_imagenet_dir: Path, root: Path) -> None:
    path = damage(root)
    for refuse in (check_files, load_dataset):
        with pytest.raises(ValueError, match=f"{path.name} is corrupt or in another format: ") as caught:
            refuse(OPTIONS, tiny_imagenet_dir)
        assert str(path) in str(caught.value)
    assert not list(root.glob(f"*decoded-{path.relative_to(root).parts[0]}*.npy"))


@pytest.mark.parametrize("part", ["wnids.txt", "val/val_annotations.txt"])
def test_missing_lists_are_named(part: str, tiny_imagenet_dir: Path, root: Path) -> None:
    (root / part).unlink()
    with pytest.raises(ValueError, match=rf"needs .*{part}, not found"):
        check_files(OPTIONS, tiny_imagenet_dir)


def test_empty_and_missing_class_folders_are_named(tiny_imagenet_dir: Path, root: Path) -> None:
    folder = root / "train" / CLASS / "images"
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=rf"needs JPEG files in .*{CLASS}/images"):
        check_files(OPTIONS, tiny_imagenet_dir)
    folder.rmdir()
    with pytest.raises(ValueError, match=rf"needs .*{CLASS}/images, not found"):
        check_files(OPTIONS, tiny_imagenet_dir)


def test_download_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--download is impossible with dataset tiny-imagenet-200"):
        download_files(OPTIONS, tmp_path)
