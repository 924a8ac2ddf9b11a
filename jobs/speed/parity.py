"""Losses of the engine's steps and of textbook steps on the same batches from the same starts."""

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
    """(engine's, textbook's) loss of each step; the engine's single-batch epochs are its steps.

    Args:
        cell: what is trained; its data holds at least one batch.
        steps: how many.
        device: where.
        follow: before each step give the engine the textbook's weights. Otherwise each goes its own way, and what
            rounding makes of a sign near 0 grows from step to step.
        wrap: what to make of either network first, one that computes in float64, say.
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
    """How far the engine's loss is from the textbook's, as a share of it, step by step."""
    return [abs(ours - theirs) / abs(theirs) for ours, theirs in losses]
