"""Friendly adversarial training against Algorithm 1 written down image by image, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import METHODS, Cell
from core.methods import build_method
from tests.methods.lookup import Lookup, PlainRun, logits, objective_of, whole_batch

pytestmark = pytest.mark.numeric

STEPS, SIZE, EPSILON = 6, 0.03, 0.1


def network() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Flatten(), nn.Linear(9, 12), nn.Tanh(), nn.Linear(12, 3)).double()


def friendly(model: nn.Module, x: Tensor, y: Tensor, start: Tensor, noise: Tensor, tau: int, *, kl: bool) -> Tensor:
    """Algorithm 1 for one image ``(C, H, W)``; ``noise`` is (steps, C, H, W)."""
    target = model(x[None]).softmax(1).detach()
    at, left = start, tau
    for step in range(STEPS):
        at = at.detach().requires_grad_()
        found = model(at[None])
        if found.argmax() != y:
            if left == 0:
                break
            left -= 1
        loss = F.kl_div(found.log_softmax(1), target, reduction="sum") if kl else F.cross_entropy(found, y[None])
        (gradient,) = torch.autograd.grad(loss, at)
        moved = at.detach() + SIZE * gradient.sign() + noise[step]
        at = torch.min(torch.max(moved, x - EPSILON), x + EPSILON).clamp(0, 1)
    return at.detach()


@pytest.mark.parametrize("method", ["fat", "fat-trades"])
@pytest.mark.parametrize("tau", [0, 1, 3])
@pytest.mark.parametrize("omega", [0, 0.02])
def test_the_attack_is_algorithm_1_image_by_image(method: str, tau: int, omega: float) -> None:
    options = {"tau": tau, "tau_begin": 1, "omega": omega, "epochs": 9, "epsilon": EPSILON}
    cell = Cell.from_flat({"method": method, "attack_steps": STEPS, "attack_step_size": SIZE, **options})
    model = network()
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(40, 1, 3, 3, generator=generator, dtype=torch.float64)
    y = model(x).topk(2).indices[:, 0]
    y[:8] = (y[:8] + 1) % 3  # misclassified from the start
    built: Any = build_method(cell)
    drawn = built.draw(x, y, generator)
    run: Any = PlainRun(model)
    found = built.attack(run, whole_batch(x, y, **drawn))["x"]
    noise = omega * drawn["noise"] if omega else torch.zeros(len(x), STEPS, 1, 3, 3)
    images = zip(x, y, drawn["start"], noise, strict=True)
    expected = torch.stack([friendly(model, *image, tau, kl=method == "fat-trades") for image in images])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
    # the early stop matters: an attack without it finds other images
    full = built.inner.perturb_from(model, x, y, drawn["start"])
    assert (full - found).abs().flatten(1).amax(1).gt(1e-3).sum() >= 8


def test_noise_is_standard_normal_and_of_every_step() -> None:
    cell = Cell.from_flat({"method": "fat", "attack_steps": 4})
    drawn = build_method(cell).draw(torch.zeros(30, 1, 8, 8), torch.zeros(30), torch.Generator().manual_seed(0))
    assert drawn["noise"].shape == (30, 4, 1, 8, 8)
    assert drawn["noise"].std().item() == pytest.approx(1, rel=0.05)
    assert not torch.equal(drawn["noise"][:, 0], drawn["noise"][:, 1])
    assert drawn["start"].min() >= 0


def official_tau(method: str, epoch: int) -> int:
    """``adjust_tau`` of the official code, of FAT.py and FAT_for_TRADES.py."""
    return sum(epoch > last for last in ((50, 90) if method == "fat" else (30, 50, 70)))


@pytest.mark.parametrize(("method", "epochs"), [("fat", 120), ("fat-trades", 85)])
def test_tau_grows_as_in_the_official_code(method: str, epochs: int) -> None:
    options: Any = Cell.from_flat({"method": method}).method
    expected = [official_tau(method, epoch) for epoch in range(1, epochs + 1)]
    assert [options.tau_in(epoch, epochs) for epoch in range(1, epochs + 1)] == expected


def test_tau_that_never_grows_stays() -> None:
    options: Any = METHODS["fat"].options(tau=2, tau_begin=1)
    assert {options.tau_in(epoch, 50) for epoch in range(1, 51)} == {2}


def test_losses_are_those_of_pgd_at_and_trades() -> None:
    y = torch.tensor([0, 2, 1, 1, 0, 3])
    clean, adv = logits(0, 6, 4), logits(1, 6, 4)
    p, q = clean.softmax(1), adv.softmax(1)
    rows = torch.arange(6)
    expected = {
        "fat": -q[rows, y].log().mean(),
        "fat-trades": -p[rows, y].log().mean() + 6 * (p * (p / q).log()).sum(1).mean(),
    }
    for method, value in expected.items():
        found = objective_of(Cell.from_flat({"method": method, "classes": 4}), Lookup(), clean, adv, y)
        assert found.total.item() == pytest.approx(value.item(), rel=1e-12)
