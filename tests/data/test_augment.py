from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare

from core.data.augment import Crops, apply_crops, crop_flip, draw_crops
from core.data.order import rank_rows


def slow_crop(image: torch.Tensor, top: int, left: int, flip: bool) -> torch.Tensor:
    """The crop computed pixel by pixel. Pixels outside the image are black."""
    _, height, width = image.shape
    out = torch.zeros_like(image)
    for y in range(height):
        for x in range(width):
            source_y = y + top - 4
            source_x = (width - 1 - x if flip else x) + left - 4
            if 0 <= source_y < height and 0 <= source_x < width:
                out[:, y, x] = image[:, source_y, source_x]
    return out


@pytest.mark.parametrize("shape", [(40, 3, 8, 8), (25, 1, 5, 9), (0, 3, 8, 8)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_crops_equal_a_loop_over_pixels(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    images = torch.randint(0, 256, shape, dtype=torch.uint8).to(memory_format=layout)
    crops = draw_crops(shape[0], torch.Generator().manual_seed(0))
    result = apply_crops(images, crops)
    assert result.dtype == torch.uint8
    assert result.shape == shape
    for i in range(shape[0]):
        top, left, flip = (int(values[i]) for values in crops)
        assert torch.equal(result[i], slow_crop(images[i], top, left, bool(flip)))


def test_windows_and_flips_are_uniform_and_independent() -> None:
    n = 162 * 100
    crops = draw_crops(n, torch.Generator().manual_seed(5))
    cells = (crops.top * 9 + crops.left) * 2 + crops.flip.long()
    counts = torch.bincount(cells, minlength=162)
    assert len(counts) == 162
    assert chisquare(counts.numpy()).pvalue > 0.001


def test_crop_flip_draws_from_its_generator_only() -> None:
    images = torch.randint(0, 256, (64, 3, 8, 8), dtype=torch.uint8)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, again, other = (crop_flip(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    generator = torch.Generator().manual_seed(1)
    assert torch.equal(crop_flip(images, generator), first)
    assert not torch.equal(crop_flip(images, generator), first)


def test_ranks_that_slice_the_draws_see_what_one_worker_sees() -> None:
    images = torch.randint(0, 256, (10, 3, 8, 8), dtype=torch.uint8)
    crops = draw_crops(10, torch.Generator().manual_seed(1))
    parts = [
        apply_crops(images[rank_rows(10, rank, 3)], Crops(*(values[rank_rows(10, rank, 3)] for values in crops)))
        for rank in range(3)
    ]
    assert torch.equal(torch.cat(parts), apply_crops(images, crops))
