"""Data sets and models are rows of tables that may grow at run time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from core.config import (
    OPTION_FIELDS,
    Cell,
    DataOptions,
    DatasetSpec,
    ModelOptions,
    ModelSpec,
    Shape,
    register_dataset,
    register_model,
)
from core.config.datasets import DATASETS
from core.config.flags import allowed_values
from core.config.models import MODELS, find_model
from core.data.image_set import ImageSet
from core.data.load import check_files, load_dataset
from core.data.reader import Reader
from core.models import build_model


class Stripes(Reader):
    """Images whose brightness is their class."""

    def read(self, folder: Path) -> tuple[ImageSet, ImageSet]:
        labels = torch.arange(30) % 3
        images = (labels * 100).to(torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 2, 5, 5)
        return ImageSet(images, labels), ImageSet(images[:9], labels[:9])

    def require(self, folder: Path) -> None:
        if not folder.exists():
            raise ValueError(f"dataset stripes needs {folder}")


def linear(width: int, shape: Shape, norm: str) -> nn.Module:
    """A linear network with ``width`` hidden units."""
    inputs = shape.channels * shape.image_size**2
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.Linear(width, shape.classes))


@pytest.fixture
def plugged_in() -> Iterator[None]:
    register_dataset(DatasetSpec("stripes", f"{__name__}:Stripes", Shape(3, 2, 5), 30))
    register_model(
        ModelSpec(
            "linear-N",
            f"{__name__}:linear",
            lambda name: (int(name[7:]),) if name.startswith("linear-") and name[7:].isdecimal() else None,
            "N hidden units",
        )
    )
    yield
    del DATASETS["stripes"], MODELS["linear-N"]


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_has_a_reader(name: str) -> None:
    spec = DATASETS[name]
    assert spec.name == name
    assert issubclass(resolve_name(spec.reader), Reader)
    assert (spec.shape is None) == (spec.training_images is None)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_builder(name: str) -> None:
    assert MODELS[name].name == name
    assert callable(resolve_name(MODELS[name].builder))


def test_a_registered_data_set_and_model_are_used_as_built_in_ones_are(plugged_in: None, tmp_path: Path) -> None:
    cell = Cell.from_flat({"dataset": "stripes", "validation_images": 6, "model": "linear-7", "batch_size": 8})
    assert (cell.data.shape, cell.data.kept_images) == (Shape(3, 2, 5), 24)
    assert Cell.from_flat(cell.flat()).id == cell.id
    check_files(cell.data, tmp_path)
    loaded = load_dataset(cell.data, tmp_path)
    assert [len(images) for images in (loaded.train, loaded.validation, loaded.test)] == [24, 6, 9]
    network = build_model(cell.model, cell.data.shape, seed=1)
    assert network(torch.zeros(4, 2, 5, 5)).shape == (4, 3)
    assert "stripes" in allowed_values(OPTION_FIELDS["dataset"])
    assert "linear-N" in allowed_values(OPTION_FIELDS["model"])
    with pytest.raises(ValueError, match=r"needs .*nowhere"):
        load_dataset(cell.data, tmp_path / "nowhere")


def test_unknown_names_are_errors_that_list_the_table(plugged_in: None) -> None:
    with pytest.raises(ValidationError, match=r"must be one of fields, digits, .*tiny-imagenet-200, stripes"):
        DataOptions(dataset="stripe")
    with pytest.raises(
        ValidationError, match=r"must be one of small-cnn, .*\(such as wrn-28-10\), linear-N with N hidden"
    ):
        ModelOptions(model="linear-x")
    with pytest.raises(ValidationError, match=r"train_images 5 is impossible with dataset stripes; .* dataset fields"):
        DataOptions(dataset="stripes", train_images=5)


def test_a_name_is_registered_once(plugged_in: None) -> None:
    with pytest.raises(ValueError, match="stripes is registered already"):
        register_dataset(DatasetSpec("stripes", "elsewhere:Reader"))
    with pytest.raises(ValueError, match="linear-N is registered already"):
        register_model(ModelSpec("linear-N", "elsewhere:build"))


def test_a_family_keeps_its_numbers() -> None:
    spec, numbers = find_model("wrn-28-10")
    assert (spec.name, numbers) == ("wrn-N-K", (28, 10))
    with pytest.raises(ValueError, match="wrn-N-K with N = 6n \\+ 4"):
        find_model("wrn-29-10")
