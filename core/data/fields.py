"""`fields`: procedural smooth-field images with any number of classes, sizes and channels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.config import DataOptions
from core.data.reader import Reader

if TYPE_CHECKING:
    from core.data.image_set import ImageSet

CUTOFF_CYCLES = 2.0
"""Cut-off frequency of the low-pass filter, in cycles per image side."""
CHUNK = 1024
"""Images that are generated at once, which bounds memory."""

Floats = NDArray[np.float64]


class Fields(Reader):
    """Reader of ``fields``, which generates the images from the options."""

    def read(self, folder: Path) -> tuple[ImageSet, ImageSet]:
        return fields(self.options)

    def training_labels(self, folder: Path) -> NDArray[np.int64]:
        assert self.options.train_images is not None
        return field_labels(self.options.train_images, self.options.classes)


def fields(options: DataOptions) -> tuple[ImageSet, ImageSet]:
    """Training and test images of the same classes, a function of the options alone (torch's global RNG is not used).

    ``x = clip(0.5 + 0.4 U(0.7, 1.3) T_class + 0.15 D + N(0, 0.05))``, quantised to uint8. T (one per class) and D (one
    per image) are smooth random fields. Labels cycle through the classes (label = index mod classes): counts differ by
    at most 1. Each random quantity has its own stream: more images extend the set without changing the first ones, and
    more classes keep the templates of the first classes.
    """
    assert options.train_images is not None
    assert options.test_images is not None
    templates = class_templates(options)
    return _images(options, templates, "train", options.train_images), _images(
        options, templates, "test", options.test_images
    )


def field_labels(n: int, classes: int) -> NDArray[np.int64]:
    """Labels (int64 [n]) of ``n`` generated images."""
    return np.arange(n) % classes


def class_templates(options: DataOptions) -> Floats:
    """T, one smooth field per class: [classes, C, H, W]."""
    shape = (options.classes, options.channels, options.image_size, options.image_size)
    return _smooth(_stream(options, "templates").standard_normal(shape))


def _images(options: DataOptions, templates: Floats, split: str, n: int) -> ImageSet:
    import torch  # imported late: the driver asks only for labels and runs without torch

    from core.data.image_set import ImageSet

    contrast, distractor, noise = (_stream(options, f"{split} {part}") for part in ("contrast", "distractor", "noise"))
    labels = field_labels(n, options.classes)
    images = np.empty((n, *templates.shape[1:]), dtype=np.uint8)
    for start in range(0, n, CHUNK):
        part = labels[start : start + CHUNK]
        shape = (len(part), *templates.shape[1:])
        x = 0.5 + 0.4 * contrast.uniform(0.7, 1.3, (len(part), 1, 1, 1)) * templates[part]
        x += 0.15 * _smooth(distractor.standard_normal(shape)) + noise.normal(0, 0.05, shape)
        images[start : start + CHUNK] = np.rint(x.clip(0, 1) * 255)
    return ImageSet(torch.from_numpy(images), torch.from_numpy(labels))


def _smooth(white: Floats) -> Floats:
    """Filter white noise [N, C, H, W] by exp(-(f / cut-off)^2) and scale each image to a largest absolute value of 1.

    f is in cycles per image side.
    """
    size = white.shape[-1]
    cycles = np.fft.fftfreq(size, 1 / size)
    squared = cycles[:, None] ** 2 + np.fft.rfftfreq(size, 1 / size) ** 2
    spectrum = np.fft.rfft2(white) * np.exp(-squared / CUTOFF_CYCLES**2)
    field = np.fft.irfft2(spectrum, s=(size, size))
    return field / np.abs(field).max(axis=(1, 2, 3), keepdims=True)


STREAMS = (
    "templates",
    *(f"{split} {part}" for split in ("train", "test") for part in ("contrast", "distractor", "noise")),
)


def _stream(options: DataOptions, name: str) -> np.random.Generator:
    assert options.data_seed is not None
    return np.random.default_rng(np.random.SeedSequence(options.data_seed, spawn_key=(STREAMS.index(name),)))
