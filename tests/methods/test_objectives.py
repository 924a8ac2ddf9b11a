"""Objectives against numbers computed by hand, in numpy, or by autograd-free formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import brentq
from torch import Tensor, nn

from core.config import Cell
from core.methods import Objective, build_method
from tests.methods.lookup import Lookup, PlainRun, logits, objective_of, whole_batch

pytestmark = pytest.mark.numeric

Y = torch.tensor([0, 2, 1])


def cell(**options: object) -> Cell:
    return Cell.from_flat({"classes": 3, **options})


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(z) / np.exp(z).sum(1, keepdims=True)


def by_numpy(clean: Tensor, adv: Tensor) -> tuple[float, float]:
    p, q = softmax(clean.detach().numpy()), softmax(adv.detach().numpy())
    ce = -np.mean([np.log(p[i, y]) for i, y in enumerate(Y.tolist())])
    kl = np.mean([sum(p[i, c] * np.log(p[i, c] / q[i, c]) for c in range(3)) for i in range(3)])
    return float(ce), float(kl)


@pytest.mark.parametrize("beta", [0, 1, 6.5])
@pytest.mark.parametrize("forwards", [1, 2])
@pytest.mark.parametrize("detach", [False, True])
def test_trades_is_clean_cross_entropy_plus_beta_kl(beta: float, forwards: int, detach: bool) -> None:
    clean, adv = logits(0), logits(1)
    objective = objective_of(cell(beta=beta, clean_forwards=forwards, detach_target=detach), Lookup(), clean, adv, Y)
    ce, kl = by_numpy(clean, adv)
    assert objective.total.item() == pytest.approx(ce + beta * kl, rel=1e-12)
    assert {name: part.item() for name, part in objective.parts.items()} == pytest.approx(
        {"ce": ce, "kl": beta * kl}, rel=1e-12
    )
    assert torch.equal(objective.adv_logits, adv)


def test_trades_on_a_textbook_batch() -> None:
    """papers/003, example 2: clean CE plus beta times KL. Two classes whose CE is 0.7 and whose KL is 0.2; beta 6."""
    p = np.exp(-0.7)
    q = brentq(lambda q: p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)) - 0.2, 1e-9, p)
    clean, adv = (torch.tensor([[np.log(r / (1 - r)), 0.0]]) for r in (p, q))
    objective = objective_of(cell(beta=6), Lookup(), clean, adv, torch.tensor([0]))
    assert objective.total.item() == pytest.approx(0.7 + 6 * 0.2, rel=1e-9)
    assert objective.parts["kl"] > objective.parts["ce"]


@pytest.mark.parametrize("forwards", [1, 2])
@pytest.mark.parametrize("detach", [False, True])
def test_gradients_reach_the_kl_target_unless_detached(forwards: int, detach: bool) -> None:
    beta = 3.0
    clean, adv = logits(2).requires_grad_(), logits(3).requires_grad_()
    chosen = cell(beta=beta, clean_forwards=forwards, detach_target=detach)
    objective_of(chosen, Lookup(), clean, adv, Y).total.backward()
    p, q = (softmax(z.detach().numpy()) for z in (clean, adv))
    ratio = np.log(p / q)
    through_target = p * (ratio - (p * ratio).sum(1, keepdims=True))
    expected = (p - np.eye(3)[Y.numpy()]) + (0 if detach else beta * through_target)
    assert clean.grad is not None
    assert adv.grad is not None
    np.testing.assert_allclose(clean.grad.numpy(), expected / 3, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(adv.grad.numpy(), beta * (q - p) / 3, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    ("forwards", "adversarial_first", "seen"),
    [
        (1, False, [0.0, 1.0]),
        (2, False, [0.0, 1.0, 0.0]),
        (2, True, [1.0, 0.0, 0.0]),  # official AWP code: the KL's adversarial logits first, then both clean forwards
    ],
)
def test_batch_norm_sees_the_batches_in_order(forwards: int, adversarial_first: bool, seen: list[float]) -> None:
    chosen = cell(clean_forwards=forwards, adversarial_first=adversarial_first)
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten())
    x, x_adv = torch.zeros(3, 1, 3, 1), torch.ones(3, 1, 3, 1)
    objective_of(chosen, model, x, x_adv, Y)
    mean = 0.5
    model[0].running_mean.fill_(mean)
    model[0].num_batches_tracked.zero_()
    objective_of(chosen, model, x, x_adv, Y)
    for value in seen:
        mean = 0.9 * mean + 0.1 * value
    assert model[0].running_mean.item() == pytest.approx(mean)
    assert model[0].num_batches_tracked.item() == len(seen)


def test_pgd_at_is_the_adversarial_cross_entropy_and_never_sees_clean_images() -> None:
    clean, adv = torch.full((3, 3), torch.nan), logits(5)
    objective = objective_of(cell(method="pgd-at"), Lookup(), clean, adv, Y)
    assert objective.total.item() == pytest.approx(by_numpy(adv, adv)[0], rel=1e-12)
    assert objective.clean_logits is None
    assert list(objective.parts) == ["ce"]


@pytest.mark.parametrize("name", ["trades", "pgd-at"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_losses_are_computed_in_float32_or_better(name: str, dtype: torch.dtype) -> None:
    clean, adv = logits(7).to(dtype), logits(8).to(dtype)
    chosen = cell(method=name)
    objective: Objective = objective_of(chosen, Lookup(), clean, adv, Y)
    assert objective.total.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    exact = objective_of(chosen, Lookup(), clean.double(), adv.double(), Y)
    assert objective.total.item() == pytest.approx(exact.total.item(), rel=1e-5)
    assert sum(objective.parts.values()).item() == pytest.approx(objective.total.item())


def test_the_cell_describes_the_inner_attack() -> None:
    attack = build_method(
        cell(epsilon="4/255", attack_steps=7, attack_step_size="1/255", attack_start="uniform", inner="ce")
    ).inner
    assert (attack.steps, attack.loss, attack.start, attack.bn_mode) == (7, "ce", "uniform", "eval")
    assert (attack.epsilon, attack.step_size) == (4 / 255, 1 / 255)


@pytest.mark.parametrize(("method", "share"), [("fgsm-at", 1.0), ("rs-fgsm", 1.25)])
def test_single_step_training_takes_the_step_of_its_paper(method: str, share: float) -> None:
    """A step of ``share * epsilon``: from the image (Goodfellow et al.), or from the ball at random (Wong et al.)."""
    epsilon, y = 0.1, torch.tensor([0, 2, 1, 1])
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 12), nn.Tanh(), nn.Linear(12, 3)).double()
    chosen = build_method(Cell.from_flat({"method": method, "epsilon": epsilon}))
    x = torch.rand(4, 1, 3, 3, dtype=torch.float64)
    drawn = chosen.draw(x, y, torch.Generator().manual_seed(1))
    run: Any = PlainRun(model)
    moved = chosen.attack(run, whole_batch(x, y, **drawn))["x"]
    delta = torch.zeros_like(x) if method == "fgsm-at" else drawn["start"] - x
    assert (delta.abs().max() > epsilon / 2) == (method == "rs-fgsm")
    assert delta.abs().max() <= epsilon
    at = (x + delta).requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(at), y), at)
    expected = x + (delta + share * epsilon * gradient.sign()).clamp(-epsilon, epsilon)
    torch.testing.assert_close(moved, expected.clamp(0, 1), rtol=0, atol=1e-15)
