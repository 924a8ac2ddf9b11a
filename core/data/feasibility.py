"""Share of test images at which no classifier can be robust, because a training image of another class is too close."""

from __future__ import annotations

import torch

from core.data.image_set import ImageSet
from core.records import Feasibility

MAX_PAIRS = 5e7
"""Pairs of a test and a training image that are compared; of larger sets, a sample of the test images is examined."""
MIN_EXAMINED = 200
FIRST_PIXELS = 16
"""Pixels that are compared first. Almost all pairs of natural images differ too much in one of them."""


def feasibility(train: ImageSet, test: ImageSet, epsilon: float) -> Feasibility:
    """Compare test images with all training images of other classes. Both sets must be on the same device.

    Args:
        train: training images.
        test: test images.
        epsilon: l-infinity radius for images in [0, 1].
    """
    generator = torch.Generator().manual_seed(0)
    examined = min(len(test), max(MIN_EXAMINED, int(MAX_PAIRS / len(train))))
    chosen = torch.randperm(len(test), generator=generator)[:examined] if examined < len(test) else slice(None)
    pixels = torch.randperm(train.images[0].numel(), generator=generator)
    mine = test.images[chosen].flatten(1)[:, pixels]
    theirs = train.images.flatten(1)[:, pixels]
    first = theirs[:, :FIRST_PIXELS].contiguous()
    levels = int(2 * epsilon * 255 + 1e-6)  # the images have 255 levels, and 2 * 8/255 * 255 is not exactly 16
    close = sum(
        _has_rival(image, label, first, theirs, train.labels, levels)
        for image, label in zip(mine, test.labels[chosen], strict=True)
    )
    return Feasibility(epsilon=epsilon, close=close, examined=examined, test_images=len(test))


def _has_rival(
    image: torch.Tensor,
    label: torch.Tensor,
    first: torch.Tensor,
    theirs: torch.Tensor,
    labels: torch.Tensor,
    levels: int,
) -> bool:
    """True if an image of another class differs by at most ``levels`` in all pixels.

    Pairs that differ too much in a few pixels are dropped before more pixels are compared.
    """
    left = torch.nonzero(_within(image[:FIRST_PIXELS], first, levels) & (labels != label)).flatten()
    seen, total = FIRST_PIXELS, len(image)
    while seen < total and len(left):
        part = slice(seen, 4 * seen)
        left = left[_within(image[part], theirs[left, part], levels)]
        seen *= 4
    return len(left) > 0


def _within(image: torch.Tensor, others: torch.Tensor, levels: int) -> torch.Tensor:
    """For each of the others, whether all pixels differ by at most ``levels``. The uint8 difference cannot overflow."""
    return (torch.maximum(image, others) - torch.minimum(image, others) <= levels).all(1)
