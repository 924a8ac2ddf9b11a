"""Losses of the engine's and of textbook steps on the same batches, with the same start points of the attack."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from core.config import Cell
from core.data.image_set import ImageSet
from core.engine.batches import iterate_epoch
from jobs.speed.subjects import make_textbook, make_trainer, training_images


def paired_losses(
    cell: Cell,
    steps: int,
    device: torch.device,
    *,
    follow: bool,
    wrap: Callable[[nn.Module], nn.Module] = lambda network: network,
) -> list[tuple[float, float]]:
    """Pairs (loss of the engine, loss of the textbook) per step; a step of the engine is an epoch of one batch.

    Args:
        cell: the cell to train; its data holds at least one batch.
        steps: number of steps.
        device: device of the networks.
        follow: copy the textbook's weights to the engine before each step. Otherwise both train independently, and
            rounding differences in signs near 0 grow from step to step.
        wrap: applied to both networks first, for example to compute in float64.
    """
    trainer, textbook = make_trainer(cell, device, wrap=wrap), make_textbook(cell, device, wrap=wrap)
    whole = training_images(cell, device)
    size = cell.training.batch_size
    losses = []
    for step in range(steps):
        if follow:
            trainer.model.load_state_dict(textbook.model.state_dict())
        first = step * size % len(whole)
        images = ImageSet(whole.images[first : first + size], whole.labels[first : first + size])
        (batch,) = iterate_epoch(
            images, cell, trainer.method.draw, trainer.streams, trainer.ranks, epoch=step + 1, noisy_batches=0
        )
        theirs = textbook.step(batch.x, batch.y, batch.drawn["start"])
        row, _ = trainer.run_epoch(images, step + 1)
        ours = row["train/loss"]
        assert ours is not None
        losses.append((ours, float(theirs)))
    return losses


def relative_differences(losses: list[tuple[float, float]]) -> list[float]:
    """Relative difference of the engine's loss from the textbook's, per step."""
    return [abs(ours - theirs) / abs(theirs) for ours, theirs in losses]
