"""Estimates of a trial's cost against counted work."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from core.config import Cell, ProtocolOptions
from core.engine.cost import forward_flop, step_flop, trial_flop, verdict_forwards
from core.probes import collect_evidence


def test_a_step_of_the_papers_network_is_27_forwards_of_each_image() -> None:
    """Ten steps with a forward and a backward to the image, the clean logits, and two forwards with full backwards."""
    cell = Cell.from_flat({"dataset": "cifar100", "model": "resnet18", "batch_size": 128})
    assert step_flop(cell) == pytest.approx(27 * 128 * forward_flop(cell))
    assert forward_flop(cell) == pytest.approx(1.11e9, rel=0.01)


class Robust(nn.Module):
    """Class 0 for every image; counts the images that it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.seen = nn.Parameter(torch.zeros(1)), 0

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.sum() < 0:  # a forward that branches on values is not folded
            raise AssertionError
        self.seen += len(x)
        lead = torch.tensor([1.0, 0.0], dtype=x.dtype)
        return lead + 0 * x.flatten(1).sum(1, keepdim=True)


def test_a_verdicts_forwards_are_those_that_its_attacks_take() -> None:
    protocol = ProtocolOptions(eval_steps=7, pgd50_restarts=3, square_queries=40)
    model, count = Robust(), 4
    # On smaller images Square would propose some squares again, and evaluate them once.
    images, labels = torch.rand(count, 1, 8, 8), torch.zeros(count, dtype=torch.long)
    collect_evidence(model, images, labels, 0.1, protocol, seed=0, checkpoint="last", epoch=1, split="test")
    backwards = 1 + 7 + 50 * 3
    assert model.seen / count == pytest.approx(verdict_forwards(protocol) - backwards, rel=0.02)


def test_a_trials_estimate_contains_its_verdict() -> None:
    cell = Cell.from_flat({"dataset": "fields", "test_images": 100, "epochs": 1})
    few, many = (trial_flop(cell, ProtocolOptions(verdict_images=images)) for images in (10, 60))
    whole, more = (trial_flop(cell, ProtocolOptions(verdict_images=images)) for images in (100, 400))
    assert many - few == pytest.approx(2 * 50 * verdict_forwards(ProtocolOptions()) * forward_flop(cell))
    assert whole == more, "there are only 100 test images"


@pytest.mark.parametrize(("dataset", "images"), [("digits", 360), ("cifar10", 10_000)])
def test_no_verdict_has_more_images_than_a_published_test_set(dataset: str, images: int) -> None:
    cell = Cell.from_flat({"dataset": dataset, "epochs": 1})
    fewer, all_of_them, more = (
        trial_flop(cell, ProtocolOptions(verdict_images=count)) for count in (images - 100, images, 400_000)
    )
    assert fewer < all_of_them == more
