"""Attacks of least l2 norm on a linear network, whose nearest boundary is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from core.attacks.minimal_norm import MinimalNorm, nearest_misclassified
from core.attacks.pgd import Pgd
from core.attacks.registry import build_attack

pytestmark = pytest.mark.numeric


def linear() -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """Three classes; images whose nearest boundary is within the box, their labels, and its distance."""
    g = torch.Generator().manual_seed(2)
    layer = nn.Linear(48, 3)
    layer.weight.data = torch.randn(3, 48, generator=g)
    layer.bias.data = -0.5 * layer.weight.data.sum(1)
    model = nn.Sequential(nn.Flatten(), layer).train()
    x = 0.4 + 0.2 * torch.rand(24, 3, 4, 4, generator=g)
    with torch.no_grad():
        logits = model(x)
    y = logits.argmax(1)
    weight = layer.weight.detach()
    distances = []
    for row, label in zip(logits, y, strict=True):
        others = [k for k in range(3) if k != label]
        gaps = torch.stack([(row[label] - row[k]) / (weight[label] - weight[k]).norm() for k in others])
        distances.append(gaps.min())
    return model, x, y, torch.stack(distances)


@pytest.mark.parametrize(("name", "steps", "typical"), [("minimal-deepfool", 50, 1.025), ("minimal-cw", 200, 1.05)])
def test_the_norm_is_the_distance_to_the_nearest_boundary(name: MinimalNorm, steps: int, typical: float) -> None:
    model, x, y, exact = linear()
    y = y.clone()
    y[0] = (y[0] + 1) % 3  # an image that is misclassified without an attack
    state = torch.random.get_rng_state()
    found = nearest_misclassified(model, x, y, name, steps)
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(state, torch.random.get_rng_state())
    assert found.fooled.all()
    assert found.right.tolist() == [False] + [True] * 23
    assert found.norm[0] == 0
    ratio = found.norm[1:] / exact[1:]
    assert (ratio > 0.999).all(), "no misclassified image is nearer than the boundary"
    assert ratio.median() < typical


def test_targeted_pgd_takes_any_number_of_steps() -> None:
    attack = build_attack("pgd-targeted-least-likely-7", 0.1)
    assert isinstance(attack, Pgd)
    assert (attack.steps, attack.target) == (7, "least-likely")
    assert build_attack("pgd-targeted-random-20", 0.1) == build_attack("pgd-targeted-random", 0.1)
    with pytest.raises(ValueError, match="pgd-targeted-best-3"):
        build_attack("pgd-targeted-best-3", 0.1)
