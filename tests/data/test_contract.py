"""Properties of every data set."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from core.config import DataOptions
from core.config.datasets import DATASETS
from core.data.image_set import Dataset, ImageSet, to_float
from core.data.load import check_files, load_dataset


class Case(NamedTuple):
    options: DataOptions
    train: int
    test: int
    balanced: bool = True


def fields_options(classes: int, channels: int, size: int, validation: int) -> DataOptions:
    return DataOptions(
        dataset="fields", classes=classes, channels=channels, image_size=size, train_images=120, test_images=40,
        validation_images=validation,
    )  # fmt: skip


CASES = {
    "fields": Case(DataOptions(dataset="fields"), 800, 400),
    "fields-rgb": Case(fields_options(7, 3, 16, 30), 90, 40),
    "fields-large": Case(fields_options(2, 2, 64, 31), 89, 40),
    "digits": Case(DataOptions(dataset="digits"), 1037, 360, balanced=False),
    "cifar10": Case(DataOptions(dataset="cifar10", validation_images=55), 145, 30),
    "cifar100": Case(DataOptions(dataset="cifar100", validation_images=40), 260, 100),
    "svhn": Case(DataOptions(dataset="svhn", validation_images=100), 200, 60, balanced=False),
    "tiny-imagenet-200": Case(DataOptions(dataset="tiny-imagenet-200", validation_images=200), 400, 200),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def folder(case: Case, data_dir: Path) -> Path:
    return data_dir / "nothing" if case.options.dataset in ("fields", "digits") else data_dir


@pytest.fixture(scope="module")
def dataset(case: Case, folder: Path) -> Dataset:
    return load_dataset(case.options, folder)


def splits(dataset: Dataset) -> list[ImageSet]:
    return [dataset.train, dataset.validation, dataset.test]


def rows(images: ImageSet) -> list[bytes]:
    pairs = zip(images.images.numpy(), images.labels.tolist(), strict=True)
    return [image.tobytes() + bytes([label]) for image, label in pairs]


def test_every_named_dataset_is_covered() -> None:
    assert {case.options.dataset for case in CASES.values()} == set(DATASETS)


def test_shapes_dtypes_and_sizes(case: Case, dataset: Dataset) -> None:
    classes, channels, size = case.options.shape
    sizes = [case.train, case.options.validation_images, case.test]
    for images, n in zip(splits(dataset), sizes, strict=True):
        assert images.images.dtype == torch.uint8
        assert images.images.shape == (n, channels, size, size)
        assert images.images.is_contiguous()
        assert images.labels.dtype == torch.int64
        assert images.labels.shape == (n,)
        assert images.labels.min() >= 0
        assert images.labels.max() < classes
        assert len(images) == n


def test_images_use_the_whole_range(dataset: Dataset) -> None:
    assert dataset.train.images.max() > 230
    assert dataset.train.images.min() < 25


def test_splits_are_disjoint(dataset: Dataset) -> None:
    train, validation, test = (set(rows(images)) for images in splits(dataset))
    assert len(train) == len(dataset.train)
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_validation_is_stratified(case: Case, dataset: Dataset) -> None:
    classes = case.options.shape.classes
    held_out = torch.bincount(dataset.validation.labels, minlength=classes)
    everything = held_out + torch.bincount(dataset.train.labels, minlength=classes)
    share = everything * len(dataset.validation) / everything.sum()
    assert (held_out - share).abs().max() < 1
    if case.balanced:
        assert everything.max() - everything.min() <= 1
        assert held_out.max() - held_out.min() <= 1


def test_loading_again_gives_the_same_bits_and_leaves_global_rngs_alone(
    case: Case, dataset: Dataset, folder: Path
) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    again = load_dataset(case.options, folder)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    for one, other in zip(splits(dataset), splits(again), strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)


def test_test_set_does_not_depend_on_the_validation_split(case: Case, dataset: Dataset, folder: Path) -> None:
    other = load_dataset(case.options.model_copy(update={"validation_images": 17}), folder)
    assert torch.equal(other.test.images, dataset.test.images)
    assert sorted(rows(other.train) + rows(other.validation)) == sorted(rows(dataset.train) + rows(dataset.validation))


@pytest.mark.filterwarnings("ignore:not the published files")
def test_files_that_load_pass_the_check(case: Case, folder: Path) -> None:
    check_files(case.options, folder)


@pytest.mark.filterwarnings("ignore:not the published files")
def test_validation_that_empties_a_class_is_refused(case: Case, folder: Path) -> None:
    too_many = case.train + case.options.validation_images - 1
    options = case.options.model_copy(update={"validation_images": too_many})
    for refuse in (check_files, load_dataset):
        with pytest.raises(ValueError, match=f"validation_images {too_many} leaves no training image of class"):
            refuse(options, folder)


def test_missing_files_are_named(case: Case, tmp_path: Path) -> None:
    empty = tmp_path / "nothing here"
    if case.options.dataset in ("fields", "digits"):
        check_files(case.options, empty)
        return
    for refuse in (check_files, load_dataset):
        with pytest.raises(ValueError, match=r"dataset .* needs .*nothing here/.* not found; .*--data-dir"):
            refuse(case.options, empty)


def test_to_float_covers_0_to_1_exactly() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert to_float(levels).dtype == torch.float32
    assert torch.equal(to_float(levels).double().mul(255).round(), torch.arange(256.0, dtype=torch.float64))
    assert to_float(levels)[[0, 255]].tolist() == [0, 1]
