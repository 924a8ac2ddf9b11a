"""IDBH, compared with the transforms of torchvision and PIL for one image at a time."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import chisquare, ks_2samp, kstest
from torch import Tensor
from torchvision.transforms import InterpolationMode, RandomErasing
from torchvision.transforms import functional as F
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from core.data.idbh import IDBH
from core.data.idbh.color_shape import (
    COLOR_BIASED,
    SHAPE_BIASED,
    Operations,
    Policy,
    apply_operations,
    draw_operations,
)
from core.data.idbh.crop_shift import CropShifts, apply_crop_shifts, draw_crop_shifts
from core.data.idbh.erasing import Rectangles, draw_rectangles, erase


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photographs(n: int, channels: int = 3, height: int = 32, width: int = 32) -> Tensor:
    """Smooth images with all levels, as photographs have."""
    coarse = torch.rand((n, channels, 6, 6), generator=rng(1))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    noisy = smooth + 0.03 * torch.randn(smooth.shape, generator=rng(2))
    return (noisy * 255).clamp(0, 255).to(torch.uint8)


def published(image: Any, name: str, strength: float, axis: int) -> Any:
    """One operation of the official code, by torchvision's function for one image (a tensor or a PIL image)."""
    nearest = {"interpolation": InterpolationMode.NEAREST, "fill": 0}
    match name:
        case "saturation":
            return F.adjust_saturation(image, strength)
        case "brightness":
            return F.adjust_brightness(image, strength)
        case "contrast":
            return F.adjust_contrast(image, strength)
        case "sharpness":
            return F.adjust_sharpness(image, strength)
        case "autocontrast":
            return F.autocontrast(image)
        case "equalize":
            return F.equalize(image)
        case "shear":
            shear = [0.0, 0.0]
            shear[axis] = math.degrees(strength)
            return F.affine(image, angle=0.0, translate=[0, 0], scale=1.0, shear=shear, **nearest)
        case "rotation":
            return F.rotate(image, angle=strength, **nearest)
    raise AssertionError(name)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("policy", [COLOR_BIASED, SHAPE_BIASED])
def test_operations_are_torchvisions(policy: Policy, channels: int) -> None:
    """One level of rounding at most; the nearest pixel may be another where two are equally near."""
    images = photographs(160, channels)
    drawn = draw_operations(160, policy, rng(3))
    results = apply_operations(images, policy, drawn)
    assert results.dtype == torch.uint8
    for image, result, index, strength, axis in zip(images, results, *drawn, strict=True):
        name = policy[index].name
        expected = published(image, name, float(strength), int(axis))
        differences = (result.int() - expected.int()).abs()
        if name in ("shear", "rotation"):
            assert (differences > 0).float().mean() < 0.002, (name, strength)
        else:
            assert differences.max() <= 1, (name, strength)


@pytest.mark.parametrize("policy", [COLOR_BIASED, SHAPE_BIASED])
def test_operations_are_those_of_the_official_code_on_pil_images(policy: Policy) -> None:
    images = photographs(160)
    drawn = draw_operations(160, policy, rng(4))
    for image, result, index, strength, axis in zip(
        images, apply_operations(images, policy, drawn), *drawn, strict=True
    ):
        name = policy[index].name
        expected = pil_to_tensor(published(to_pil_image(image), name, float(strength), int(axis)))
        differences = (result.int() - expected.int()).abs()
        if name in ("shear", "rotation"):
            assert (differences > 0).float().mean() < 0.01, (name, strength)
        else:
            assert differences.max() <= 2, (name, strength)


def test_images_that_are_not_square_are_sheared_and_rotated_like_torchvisions() -> None:
    images = photographs(40, height=20, width=48)
    for name in ("shear", "rotation"):
        policy = tuple(operation._replace(share=1.0) for operation in SHAPE_BIASED if operation.name == name)
        drawn = draw_operations(40, policy, rng(5))
        for image, result, _, strength, axis in zip(
            images, apply_operations(images, policy, drawn), *drawn, strict=True
        ):
            expected = published(image, name, float(strength), int(axis))
            assert (result != expected).float().mean() < 0.002


@pytest.mark.parametrize("policy", [COLOR_BIASED, SHAPE_BIASED])
def test_operations_and_strengths_have_the_published_distribution(policy: Policy) -> None:
    n = 40_000
    drawn = draw_operations(n, policy, rng(6))
    assert sum(operation.share for operation in policy) == pytest.approx(1)
    counts = torch.bincount(drawn.number, minlength=len(policy))
    assert chisquare(counts, [n * operation.share for operation in policy]).pvalue > 0.001
    assert chisquare(torch.bincount(drawn.axis)).pvalue > 0.001
    for number, operation in enumerate(policy):
        strength = drawn.strength[drawn.number == number].double()
        if operation.name in ("shear", "rotation"):
            assert chisquare(torch.bincount((strength > 0).long())).pvalue > 0.001
            strength = strength.abs()
        if operation.name == "rotation":
            degrees = Counter(strength.tolist())
            assert sorted(degrees) == list(range(int(operation.low), int(operation.high) + 1))
            assert chisquare(list(degrees.values())).pvalue > 0.001
        elif operation.high:
            uniform = (operation.low, operation.high - operation.low)
            assert kstest(strength, "uniform", uniform).pvalue > 0.001


def slow_crop_shift(image: Tensor, shifts: CropShifts, i: int) -> Tensor:
    """The official code's CropShift: crop, pad on both sides, crop again; after a flip."""
    (removed_y, removed_x), (crop_y, crop_x), (place_y, place_x) = (values[i].tolist() for values in shifts[:3])
    _, height, width = image.shape
    flipped = F.hflip(image) if shifts.flip[i] else image
    part = F.crop(flipped, crop_y, crop_x, height - removed_y, width - removed_x)
    padded = F.pad(part, [removed_x, removed_y], fill=0)
    return F.crop(padded, removed_y - place_y, removed_x - place_x, height, width)


@pytest.mark.parametrize("shape", [(60, 3, 32, 32), (60, 1, 11, 14)])
def test_crop_shift_is_the_crop_of_a_padded_crop(shape: tuple[int, ...]) -> None:
    images = torch.randint(1, 256, shape, generator=rng(7)).to(torch.uint8)
    shifts = draw_crop_shifts(shape[0], 11, rng(8))
    moved = apply_crop_shifts(images, shifts)
    for i in range(shape[0]):
        assert torch.equal(moved[i], slow_crop_shift(images[i], shifts, i))
    seen = (moved[:, 0] > 0).flatten(1).sum(1)
    height, width = shape[2:]
    assert torch.equal(seen, (height - shifts.removed[:, 0]) * (width - shifts.removed[:, 1]))


def test_crops_are_uniform_among_those_of_their_strength() -> None:
    n = 66_000
    shifts = draw_crop_shifts(n, 11, rng(9))
    strength = shifts.removed.sum(1)
    assert chisquare(torch.bincount(strength)).pvalue > 0.001
    columns = shifts.removed[strength == 4, 1]
    assert chisquare(torch.bincount(columns, minlength=5)).pvalue > 0.001
    chosen = (shifts.removed == torch.tensor([1, 2])).all(1)
    corners = torch.cat([shifts.crop, shifts.place], dim=1)[chosen]
    cells = ((corners[:, 0] * 3 + corners[:, 1]) * 2 + corners[:, 2]) * 3 + corners[:, 3]
    assert chisquare(torch.bincount(cells, minlength=36)).pvalue > 0.001
    assert chisquare(torch.bincount(shifts.flip.long())).pvalue > 0.001


def test_erased_pixels_are_torchvisions() -> None:
    images = torch.randint(1, 256, (30, 3, 32, 32), generator=rng(10)).to(torch.uint8)
    rectangles = draw_rectangles(30, 32, 32, 0.7, 0.33, rng(11))
    for image, result, top, left, height, width in zip(images, erase(images, rectangles), *rectangles, strict=True):
        assert torch.equal(result, F.erase(image, int(top), int(left), int(height), int(width), torch.tensor(0)))


@pytest.mark.parametrize("largest", [0.33, 0.5])
def test_rectangles_have_the_distribution_of_torchvisions(largest: float) -> None:
    n = 3000
    ours = draw_rectangles(n, 32, 32, 1.0, largest, rng(12))
    torch.manual_seed(13)
    image = torch.zeros(3, 32, 32)
    theirs = torch.tensor(
        [RandomErasing.get_params(image, (0.02, largest), (0.3, 3.3), [0.0])[:4] for _ in range(n)]
    ).t()
    for name, values, expected in zip(Rectangles._fields, ours, theirs, strict=True):
        assert ks_2samp(values, expected).pvalue > 0.001, name
    area = [(h * w).double() for _, _, h, w in (ours, theirs)]
    assert ks_2samp(*area).pvalue > 0.001
    assert (draw_rectangles(n, 32, 32, 0.0, largest, rng(12)).height == 0).all()
    some = (draw_rectangles(n, 32, 32, 0.5, largest, rng(12)).height > 0).sum().item()
    assert abs(some - n / 2) < 4 * math.sqrt(n) / 2


@pytest.mark.parametrize("name", IDBH)
def test_a_variant_is_its_parts_in_the_published_order(name: str) -> None:
    images, variant = photographs(50), IDBH[name]
    result = variant(images, rng(14))
    generator = rng(14)
    shifts = draw_crop_shifts(50, variant.strengths, generator)
    operations = draw_operations(50, variant.policy, generator)
    rectangles = draw_rectangles(50, 32, 32, variant.erased, variant.largest, generator)
    for i in range(50):
        moved = slow_crop_shift(images[i], shifts, i)
        operation = Operations(*(values[i : i + 1] for values in operations))
        changed = apply_operations(moved[None], variant.policy, operation)[0]
        top, left, height, width = (int(values[i]) for values in rectangles)
        assert torch.equal(result[i], F.erase(changed, top, left, height, width, torch.tensor(0)))


def test_it_draws_from_its_generator_only_and_an_image_does_not_depend_on_the_others() -> None:
    images = photographs(40)
    before = torch.get_rng_state()
    first = IDBH["idbh-strong"](images, rng(15))
    assert torch.equal(torch.get_rng_state(), before)
    others = images.clone()
    others[::2] = 255 - others[::2]
    assert torch.equal(IDBH["idbh-strong"](others, rng(15))[1::2], first[1::2])
    assert not torch.equal(IDBH["idbh-strong"](images, rng(16)), first)
    assert np.asarray(Image.fromarray(first[0].permute(1, 2, 0).numpy())).any()
