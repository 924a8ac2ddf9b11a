"""Guided adversarial training against autograd of its formulas, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.attacks.losses import guided_cross_entropy
from core.config import Cell
from core.methods import build_method
from tests.methods.lookup import Lookup, PlainRun, logits, objective_of, whole_batch

pytestmark = pytest.mark.numeric

Y = torch.tensor([0, 2, 1, 1, 0, 3])
N = len(Y)


def cell(**options: Any) -> Cell:
    return Cell.from_flat({"method": "gat", "classes": 4, **options})


@pytest.mark.parametrize(("epoch", "factor"), [(1, 1), (86, 1), (87, 4), (100, 4)])
def test_the_loss_is_cross_entropy_plus_the_squared_distance_of_softmax(epoch: int, factor: int) -> None:
    """Official code: lambda is 10, and 40 after the 86th of 100 epochs."""
    clean, adv = (logits(seed, N, 4).requires_grad_() for seed in (0, 1))
    run: Any = PlainRun(Lookup())
    run.epoch = epoch
    found = build_method(cell(epochs=100)).objective(run, whole_batch(clean, Y), {"x": adv})
    p, q = clean.exp() / clean.exp().sum(1, keepdim=True), adv.exp() / adv.exp().sum(1, keepdim=True)
    images = [-p[i, Y[i]].log() + 10 * factor * ((p[i] - q[i]) ** 2).sum() for i in range(N)]
    expected = torch.stack(images).mean()
    assert found.total.item() == pytest.approx(expected.item(), rel=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad(found.total, [clean, adv]), torch.autograd.grad(expected, [clean, adv]), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("weight", [0, 1, 10, 40])
@pytest.mark.parametrize("scale", [1, 1024])
def test_the_ascent_is_the_gradient_at_the_logits(weight: float, scale: float) -> None:
    z, clean = logits(2, N, 4).requires_grad_(), logits(3, N, 4).softmax(1)
    total = F.cross_entropy(z, Y, reduction="sum") + weight * (clean - z.softmax(1)).square().sum()
    (expected,) = torch.autograd.grad(scale * total, z)
    found = guided_cross_entropy(Y, clean, weight, scale)(z.detach())
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12 * scale)


class Normed(nn.Module):
    """A network whose train mode differs from its eval mode."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        layers = [nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, 4)]
        self.layers = nn.Sequential(*layers).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def twin_of(model: Normed) -> Normed:
    twin = Normed()
    twin.load_state_dict(model.state_dict())
    return twin


@pytest.mark.parametrize("number", [0, 1, 2, 3])
@pytest.mark.parametrize(("epoch", "factor"), [(1, 1), (100, 4)])
def test_every_second_batch_is_attacked_with_guidance(number: int, epoch: int, factor: int) -> None:
    """The official code's lines, with autograd; the first batch of an epoch has no guidance."""
    epsilon, x = 0.1, torch.rand(N, 1, 3, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    built = build_method(cell(epsilon=epsilon, epochs=100))
    start = built.draw(x, Y, torch.Generator().manual_seed(5))["start"]
    assert torch.equal(start, torch.where(start > x, x + epsilon / 2, x - epsilon / 2).clamp(0, 1))
    model = Normed()
    twin = twin_of(model)
    run: Any = PlainRun(model)
    run.epoch = epoch
    batch = whole_batch(x, Y, start=start)._replace(number=number)
    found = built.attack(run, batch)["x"]

    def attacked(guidance: float) -> Tensor:
        other = twin_of(twin)
        clean = other(x).softmax(1).detach()
        other.eval()
        image = start.clone().requires_grad_()
        z = other(image)
        cost = F.cross_entropy(z, Y) + guidance * ((clean - z.softmax(1)) ** 2.0).sum(1).mean(0)
        (gradient,) = torch.autograd.grad(cost, image)
        stepped = (image.detach() + epsilon * gradient.sign()).clamp(0, 1)
        return (x + (stepped - x).clamp(-epsilon, epsilon)).clamp(0, 1)

    expected = attacked(10 * factor if number % 2 else 0)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    assert not torch.allclose(attacked(0), attacked(10)), "guidance changes no sign: the test can't see it"


def test_batch_norm_sees_clean_adversarial_clean() -> None:
    model = Normed()
    run: Any = PlainRun(model)
    x = torch.zeros(N, 1, 3, 3, dtype=torch.float64)
    built = build_method(cell(epsilon=0.1))
    found = built.attack(run, whole_batch(x, Y, start=x + 0.05))
    mean = 0.9 * 0.5
    model.layers[0].running_mean.fill_(mean)
    built.objective(run, whole_batch(x, Y), {"x": torch.ones_like(x)})
    assert model.layers[0].num_batches_tracked == 3
    assert model.layers[0].running_mean.item() == pytest.approx((mean * 0.9 + 0.1) * 0.9)
    assert found["x"].max() <= 0.1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_loss_is_computed_in_float32(dtype: torch.dtype) -> None:
    clean, adv = logits(0, N, 4).to(dtype), logits(1, N, 4).to(dtype)
    found = objective_of(cell(), Lookup(), clean, adv, Y)
    exact = objective_of(cell(), Lookup(), clean.double(), adv.double(), Y)
    assert found.total.dtype == torch.float32
    assert found.total.item() == pytest.approx(exact.total.item(), rel=1e-4)
    assert guided_cross_entropy(Y, clean.double().softmax(1), 10, 1024)(adv).dtype == dtype
