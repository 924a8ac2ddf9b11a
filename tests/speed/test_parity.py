"""The textbook step of the benchmark and the engine's step compute the same numbers."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
import torch

from core.config import Cell
from core.data.image_set import ImageSet
from core.engine.batches import iterate_epoch
from jobs.speed.parity import paired_losses, relative_differences
from jobs.speed.subjects import make_textbook, make_trainer, training_images
from tests.networks import Float64

pytestmark = pytest.mark.numeric

CPU = torch.device("cpu")
WELL_CONDITIONED = {"attack_start": "uniform", "lr": 0.01}
"""Options with a distant start of the attack and little training.

Near a clean image, and at the end of training, the attack's gradient is almost 0, and rounding decides its sign and the
direction of a pixel. Far from the image and early in training this is rare."""


def tiny_cell(**options: Any) -> Cell:
    tiny = {"classes": 5, "train_images": 84, "validation_images": 20, "test_images": 5, "batch_size": 16}
    attack = {"epsilon": 0.1, "attack_steps": 5, "attack_step_size": 0.04}
    return Cell.from_flat({**tiny, **attack, **options})


@pytest.mark.slow
@pytest.mark.parametrize("clean_forwards", [1, 2])
def test_float64_losses_stay_equal_over_200_steps(clean_forwards: int) -> None:
    cell = tiny_cell(clean_forwards=clean_forwards)
    losses = paired_losses(cell, 200, CPU, follow=False, wrap=Float64)
    assert max(relative_differences(losses)) < 1e-9
    assert losses[-1][1] < 0.8 * losses[0][1], "nothing was learnt, so equality shows little"


def rounding_errors(cell: Cell, steps: int) -> tuple[list[float], list[float]]:
    """Relative errors of the losses of single float32 steps, compared with the textbook's step in float64.

    Each step starts from the weights that a float32 textbook has reached, which are exact in float64.

    Returns:
        The engine's errors and the textbook's, one per step.
    """
    trainer, plain, exact = make_trainer(cell, CPU), make_textbook(cell, CPU), make_textbook(cell, CPU, wrap=Float64)
    whole, size = training_images(cell, CPU), cell.training.batch_size
    engine, textbook = [], []
    for step in range(steps):
        weights = plain.model.state_dict()
        trainer.model.load_state_dict(weights)
        exact.model.network.load_state_dict(weights)
        first = step * size % len(whole)
        images = ImageSet(whole.images[first : first + size], whole.labels[first : first + size])
        (batch,) = iterate_epoch(
            images, cell, trainer.method.draw, trainer.streams, trainer.ranks, epoch=step + 1, noisy_batches=0
        )
        loss = exact.step(batch.x, batch.y, batch.drawn["start"]).item()
        textbook.append(abs(plain.step(batch.x, batch.y, batch.drawn["start"]).item() - loss) / loss)
        row, _ = trainer.run_epoch(images, step + 1)
        assert row["train/loss"] is not None
        engine.append(abs(row["train/loss"] - loss) / loss)
    return engine, textbook


def typical(errors: list[float]) -> float:
    """The geometric mean. Errors below the resolution of float32 are replaced by the resolution."""
    return math.exp(statistics.fmean(math.log(max(error, 2**-24)) for error in errors))


@pytest.mark.parametrize("options", [{}, {"channels_last": True}, {"clean_forwards": 2}])
def test_float32_losses_are_as_exact_as_the_textbooks(options: dict[str, Any]) -> None:
    engine, textbook = rounding_errors(tiny_cell(**WELL_CONDITIONED, **options), 30)
    assert typical(engine) < 3 * typical(textbook)
    assert typical(textbook) < 1e-5, "the textbook is too inexact to hold the engine against it"


@pytest.mark.slow
def test_resnet_losses_are_as_exact_as_the_textbooks() -> None:
    cell = tiny_cell(**WELL_CONDITIONED, model="resnet18", channels=3, batch_size=8, attack_steps=2)
    engine, textbook = rounding_errors(cell, 8)
    assert typical(engine) < 5 * typical(textbook)
    assert typical(textbook) < 1e-4, "the textbook is too inexact to hold the engine against it"


def test_both_textbook_attacks_are_one() -> None:
    """Computing weight gradients, too, does not change any image."""
    cell = tiny_cell()
    x = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    start = x + 0.001
    whole, images_only = (
        make_textbook(cell, CPU, image_gradient_only=only).perturb(x, start) for only in (False, True)
    )
    assert torch.equal(whole, images_only)
    assert (whole - x).abs().max() > 0.09
