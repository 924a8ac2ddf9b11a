"""DeepFool and C&W in l2 on a network that was trained on digits, against many restarts of PGD in float64."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.attacks.minimal_norm import MinimalNorm, nearest_misclassified
from core.config import Cell
from core.data.image_set import to_float
from core.data.load import load_dataset
from core.models import build_model

IMAGES, RESTARTS = 12, 16


@pytest.fixture(scope="module")
def digits() -> tuple[nn.Module, Tensor, Tensor]:
    """A small CNN that is right on almost all test images, and some of these.

    It is trained in float64, in which other processors find almost the same weights.
    """
    cell = Cell.from_flat({"dataset": "digits", "model": "small-cnn"})
    data = load_dataset(cell.data, Path())
    model = build_model(cell.model, cell.data.shape, seed=0).double()
    x, y = to_float(data.train.images).double(), data.train.labels
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    rng = torch.Generator().manual_seed(0)
    for _ in range(8):
        for rows in torch.randperm(len(x), generator=rng).split(64):
            optimiser.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimiser.step()
    model.eval().float()
    test, labels = to_float(data.test.images), data.test.labels
    with torch.no_grad():
        assert (model(test).argmax(1) == labels).float().mean() > 0.95
    return model, test[:IMAGES], labels[:IMAGES]


def nearest_by_pgd(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Norm of the nearest misclassified image that PGD from many starts finds, with a search over the radius."""
    model, x = model.double(), x.double().repeat_interleave(RESTARTS, 0)
    y = y.repeat_interleave(RESTARTS)
    rng = torch.Generator().manual_seed(0)
    best = torch.full((len(x) // RESTARTS,), torch.inf, dtype=torch.float64)
    low, high = torch.zeros_like(best), torch.full_like(best, 5.0)
    for _ in range(14):
        middle = (low + high) / 2
        radius = middle.repeat_interleave(RESTARTS)
        noise = torch.randn(x.shape, generator=rng, dtype=torch.float64)
        moved = _into_ball(x + noise * (radius / 8).view(-1, 1, 1, 1), x, radius)
        for step in range(40):
            leaf = moved.detach().requires_grad_()
            logits = model(leaf)
            lead = logits.gather(1, y[:, None])[:, 0] - logits.scatter(1, y[:, None], -torch.inf).amax(1)
            fooled = lead < 0
            norms = torch.where(fooled, (moved - x).flatten(1).norm(dim=1), torch.inf)
            best = best.minimum(norms.view(-1, RESTARTS).amin(1))
            (gradient,) = torch.autograd.grad(lead.sum(), leaf)
            length = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)
            size = radius * 2.5 / (step + 5) / length
            moved = _into_ball(moved - size.view(-1, 1, 1, 1) * gradient, x, radius).detach()
        low, high = torch.where(best <= middle, low, middle), torch.where(best <= middle, best, high)
    return best


def _into_ball(moved: Tensor, x: Tensor, radius: Tensor) -> Tensor:
    """Into the box, which is convex and contains the centre, after the ball: neither is left again."""
    length = (moved - x).flatten(1).norm(dim=1)
    share = (radius / length.clamp(min=1e-12)).clamp(max=1)
    return (x + (moved - x) * share.view(-1, 1, 1, 1)).clamp(0, 1)


@pytest.mark.slow
def test_norms_of_a_trained_network_are_those_of_an_independent_search(
    digits: tuple[nn.Module, Tensor, Tensor],
) -> None:
    model, x, y = digits
    found = {name: nearest_misclassified(model, x, y, name, steps) for name, steps in ATTACKS.items()}
    right = found["minimal-cw"].right
    assert right.sum() >= IMAGES - 2
    exact = nearest_by_pgd(model, x, y)[right]
    model.float()
    for name, (least, typical, largest) in RATIOS.items():
        nearest = found[name]
        assert nearest.fooled.all()
        assert (nearest.norm[~right] == 0).all()
        ratio = nearest.norm[right].double() / exact
        assert ratio.min() > least, (name, ratio)
        assert ratio.median() < typical, (name, ratio)
        assert ratio.max() < largest, (name, ratio)


ATTACKS: dict[MinimalNorm, int] = {"minimal-deepfool": 50, "minimal-cw": 400}
RATIOS: dict[MinimalNorm, tuple[float, float, float]] = {
    "minimal-deepfool": (0.95, 1.4, 2.5),
    "minimal-cw": (0.95, 1.06, 1.5),
}
"""Least, median and largest norm in units of the independent search's. Neither search is exact."""
