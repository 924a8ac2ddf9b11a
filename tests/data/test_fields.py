from __future__ import annotations

import numpy as np
import pytest
import torch

from core.config import DataOptions
from core.data.fields import _smooth, class_templates, fields


def options(**changed: int) -> DataOptions:
    return DataOptions(dataset="fields", validation_images=1, **changed)


def slow_smooth(white: np.ndarray) -> np.ndarray:
    """The definition, computed by explicit sums over frequencies."""
    size = white.shape[-1]
    frequencies = np.arange(size)
    frequencies = np.where(frequencies > size // 2, frequencies - size, frequencies)
    kernel = np.exp(-(frequencies**2) / 2.0**2)
    waves = np.exp(2j * np.pi * np.outer(frequencies, np.arange(size)) / size)
    spectrum = np.einsum("fy,gx,cyx->cfg", waves.conj(), waves.conj(), white) * kernel[:, None] * kernel
    field = np.einsum("fy,gx,cfg->cyx", waves, waves, spectrum).real
    return field / np.abs(field).max()


@pytest.mark.parametrize("size", [7, 8, 33])
def test_smooth_field_is_the_low_passed_noise_with_peak_1(size: int) -> None:
    white = np.random.default_rng(3).standard_normal((4, 2, size, size))
    np.testing.assert_allclose(_smooth(white), np.stack([slow_smooth(image) for image in white]), atol=1e-12)


def test_images_follow_the_recipe() -> None:
    """Moments: E x = 0.5 + 0.4 T, and without clipping the residual is (U - 1) 0.4 T + 0.15 D + noise."""
    chosen = options(classes=2, train_images=6000, test_images=10, image_size=16)
    train, _ = fields(chosen)
    templates = class_templates(chosen)
    draws = _smooth(np.random.default_rng(9).standard_normal((20_000, 1, 16, 16)))
    distractor_variance = draws.var()
    for label in range(2):
        x = train.images[train.labels == label].numpy() / 255
        template = templates[label]
        unclipped = np.abs(template) < 0.5
        np.testing.assert_allclose(x.mean(axis=0)[unclipped], 0.5 + 0.4 * template[unclipped], atol=0.01)
        expected = (0.4 * template) ** 2 * 0.6**2 / 12 + 0.15**2 * distractor_variance + 0.05**2
        np.testing.assert_allclose(x.var(axis=0)[unclipped], expected[unclipped], rtol=0.12)


def test_pixel_noise_is_white_with_deviation_0_05() -> None:
    """At the highest frequency there is only pixel noise, because the gain of T and D is below 1e-7."""
    train, _ = fields(options(classes=2, train_images=2000, test_images=10, image_size=32))
    x = train.images.numpy() / 255
    inside = ((train.images > 0) & (train.images < 255)).flatten(1).all(dim=1).numpy()
    checkerboard = (-1.0) ** np.add.outer(np.arange(32), np.arange(32))
    projected = (x[inside] * checkerboard).sum(axis=(1, 2, 3)) / 32
    assert inside.sum() > 500
    assert projected.std() == pytest.approx(0.05, rel=0.1)


def test_templates_do_not_depend_on_image_counts_and_more_classes_keep_the_first() -> None:
    few = class_templates(options(classes=5, train_images=20, test_images=5))
    many = class_templates(options(classes=40, train_images=800, test_images=50))
    np.testing.assert_array_equal(many[:5], few)


def test_more_images_keep_the_first() -> None:
    few = fields(options(classes=5, train_images=1030, test_images=7))
    many = fields(options(classes=5, train_images=2100, test_images=700))
    for one, other in zip(few, many, strict=True):
        assert torch.equal(other.images[: len(one)], one.images)
        assert torch.equal(other.labels[: len(one)], one.labels)


def test_data_seed_changes_templates_and_images() -> None:
    first, second = options(data_seed=0), options(data_seed=1)
    assert np.abs(class_templates(first) - class_templates(second)).max() > 0.5
    assert not torch.equal(fields(first)[0].images, fields(second)[0].images)


def test_classes_are_balanced_and_all_in_the_test_set() -> None:
    train, test = fields(options(classes=7, train_images=100, test_images=30))
    for images in (train, test):
        counts = torch.bincount(images.labels, minlength=7)
        assert counts.max() - counts.min() <= 1
