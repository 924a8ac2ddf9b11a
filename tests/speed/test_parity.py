"""The textbook step of the benchmark and the engine's step compute the same numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.config import Cell
from jobs.speed.parity import paired_losses, relative_differences
from jobs.speed.subjects import make_textbook

CPU = torch.device("cpu")


class Float64(nn.Module):
    """A network with float64 weights that takes float32 images."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.to(torch.float64))


def tiny_cell(**options: Any) -> Cell:
    tiny = {"classes": 5, "train_images": 84, "validation_images": 20, "test_images": 5, "batch_size": 16}
    attack = {"epsilon": 0.1, "attack_steps": 5, "attack_step_size": 0.04}
    return Cell.from_flat({**tiny, **attack, **options})


@pytest.mark.parametrize("clean_forwards", [1, 2])
def test_float64_losses_stay_equal_over_200_steps(clean_forwards: int) -> None:
    cell = tiny_cell(clean_forwards=clean_forwards)
    losses = paired_losses(cell, 200, CPU, follow=False, wrap=Float64)
    assert max(relative_differences(losses)) < 1e-9
    assert losses[-1][1] < 0.8 * losses[0][1], "nothing was learnt, so equality shows little"


@pytest.mark.parametrize("options", [{}, {"channels_last": True}, {"clean_forwards": 2}])
def test_float32_losses_from_equal_weights_differ_by_rounding(options: dict[str, Any]) -> None:
    """A gradient that rounds to the other side of 0 moves a pixel the other way: that may happen, but seldom."""
    differences = sorted(relative_differences(paired_losses(tiny_cell(**options), 60, CPU, follow=True)))
    assert differences[30] < 1e-6
    assert differences[54] < 1e-5
    assert differences[-1] < 0.05


@pytest.mark.slow
def test_resnet_losses_from_equal_weights_differ_by_rounding() -> None:
    cell = tiny_cell(model="resnet18", channels=3, batch_size=8, attack_steps=2)
    assert max(relative_differences(paired_losses(cell, 5, CPU, follow=True))) < 1e-3


def test_both_textbook_attacks_are_one() -> None:
    """Asking for weight gradients too changes no image."""
    cell = tiny_cell()
    x = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    start = x + 0.001
    whole, images_only = (
        make_textbook(cell, CPU, image_gradient_only=only).perturb(x, start) for only in (False, True)
    )
    assert torch.equal(whole, images_only)
    assert (whole - x).abs().max() > 0.09
