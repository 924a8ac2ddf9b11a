"""The share of test images with a close training image of another class, against all pairwise distances."""

from __future__ import annotations

import pytest
import torch

from core.config import DataOptions
from core.data import feasibility as module
from core.data.feasibility import feasibility
from core.data.image_set import ImageSet
from core.data.load import load_dataset


def by_all_distances(train: ImageSet, test: ImageSet, epsilon: float) -> int:
    """Test images whose nearest training image of another class is within twice the radius, in float64."""
    mine, theirs = (part.images.flatten(1).double() / 255 for part in (test, train))
    distances = torch.cdist(mine, theirs, p=float("inf"))
    distances[test.labels[:, None] == train.labels[None]] = torch.inf
    return int((distances.min(1).values <= 2 * epsilon + 1e-9).sum())


def test_counts_equal_those_of_all_distances() -> None:
    dataset = load_dataset(DataOptions(dataset="digits"), "none")
    counts = []
    for epsilon in (0.1, 0.25, 0.28, 0.4):
        found = feasibility(dataset.train, dataset.test, epsilon)
        assert found.close == by_all_distances(dataset.train, dataset.test, epsilon)
        assert (found.examined, found.test_images) == (360, 360)
        counts.append(found.close)
    assert 0 == counts[0] < counts[1] < counts[2] < counts[3]


@pytest.mark.parametrize("pixels", [1, 16, 17, 300])
def test_two_images_twice_the_radius_apart_are_close(pixels: int) -> None:
    """One pixel differs by 16 of 255 levels, which is exactly twice 8/255, or by one level more."""
    x = torch.full((1, 1, 1, pixels), 100, dtype=torch.uint8)
    for levels, close in ((16, 1), (17, 0)):
        other = x.clone()
        other[0, 0, 0, -1] += levels
        train = ImageSet(other, torch.tensor([1]))
        assert feasibility(train, ImageSet(x, torch.tensor([0])), 8 / 255).close == close
        assert feasibility(train, ImageSet(x, torch.tensor([1])), 8 / 255).close == 0, "of the same class"


def test_a_sample_is_examined_of_many_images(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load_dataset(DataOptions(dataset="digits"), "none")
    monkeypatch.setattr(module, "MAX_PAIRS", 250 * len(dataset.train))
    state = torch.get_rng_state()
    found = feasibility(dataset.train, dataset.test, 0.4)
    assert (found.examined, found.test_images) == (250, 360)
    whole = by_all_distances(dataset.train, dataset.test, 0.4) / 360
    assert abs(found.share - whole) < 0.1
    assert found == feasibility(dataset.train, dataset.test, 0.4)
    assert torch.equal(state, torch.get_rng_state())
