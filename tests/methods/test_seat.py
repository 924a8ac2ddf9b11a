"""SEAT's attack and objective in float64 against its formulas, image by image and by plain autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from core.attacks.losses import probability_margin
from core.config import Cell
from core.methods import Batch, build_method
from core.methods.losses import flooded
from tests.methods.lookup import PlainRun, logits, whole_batch

pytestmark = pytest.mark.numeric

Y = torch.tensor([0, 2, 1, 1, 0, 3])
N = len(Y)
WEIGHT = 0.7
FORMS = ("paper", "official")


def seat(form: str, flood: float = 0.0, epsilon: float = 0.1, **more: Any) -> Any:
    options = {"linearity_form": form, "linearity": WEIGHT, "flood": flood, "epsilon": epsilon, **more}
    return build_method(Cell.from_flat({"method": "seat", "classes": 4, **options}))


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(9, 12), nn.Tanh(), nn.Linear(12, 4)).double()


def some_batch() -> tuple[Batch, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, start, adv = (torch.rand(N, 1, 3, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    return whole_batch(x, Y, start=start), adv


def error(model: nn.Module, weights: dict[str, Tensor], image: Tensor, adv: Tensor, y: Tensor, fixed: bool) -> Tensor:
    """One image's ``l(x_adv) - l(x) - <x_adv - x, grad l(x)>``; ``fixed``: the product is a number."""

    def loss(at: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(model, weights, (at[None],)), y[None])

    product = ((adv - image) * torch.func.grad(loss)(image)).sum()
    return loss(adv) - loss(image) - (product.detach() if fixed else product)


def regulariser(model: nn.Module, weights: dict[str, Tensor], x: Tensor, adv: Tensor, form: str) -> Tensor:
    triples = zip(x, adv, Y, strict=True)
    errors = torch.stack([error(model, weights, *triple, fixed=form == "official") for triple in triples])
    return WEIGHT * (errors.abs().mean() if form == "paper" else errors.mean().abs())


@pytest.mark.parametrize("form", FORMS)
def test_the_objective_and_its_gradient(form: str) -> None:
    model = network()
    batch, adv = some_batch()
    run: Any = PlainRun(model)
    found = seat(form).objective(run, batch, {"x": adv})
    weights = dict(model.named_parameters())
    expected = regulariser(model, weights, batch.x, adv, form)
    ce = F.cross_entropy(model(adv), Y)
    assert found.parts["linearity"].item() == pytest.approx(expected.item(), rel=1e-10)
    assert found.total.item() == pytest.approx((ce + expected).item(), rel=1e-10)
    ours = torch.autograd.grad(found.total, list(weights.values()))
    theirs = torch.autograd.grad(ce + expected, list(weights.values()))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("objective", ["margin", "ce"])
def test_the_attack_ascends_its_objective_and_the_error(form: str, objective: str) -> None:
    """The step from the start, by autograd through the whole sum."""
    model, method = network(), seat(form, epsilon=0.9, attack_objective=objective)
    batch, _ = some_batch()
    run: Any = PlainRun(model)
    moved = method.attack(run, batch)["x"]
    at = batch.drawn["start"].clone().requires_grad_()
    p = F.softmax(model(at), dim=1)
    true = F.one_hot(Y, 4).bool()
    margin = (p.masked_fill(true, -1).amax(1) - p[true]).mean()
    # a mean over the batch: every image's gradient is a sixth of that of its own loss
    ascended = {"margin": margin, "ce": F.cross_entropy(model(at), Y)}
    total = ascended[objective] + regulariser(model, dict(model.named_parameters()), batch.x, at, form)
    (gradient,) = torch.autograd.grad(total, at, retain_graph=True)
    expected = (at.detach() + 0.9 * gradient.sign()).clamp(batch.x - 0.9, batch.x + 0.9).clamp(0, 1)
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12)
    (other,) = (part for name, part in ascended.items() if name != objective)
    (plain,) = torch.autograd.grad(other, at)
    assert not torch.equal(gradient.sign(), plain.sign()), "the other objective gives this step: the test sees nothing"


def test_it_starts_on_the_corners_of_the_ball() -> None:
    x = torch.full((4, 1, 3, 3), 0.5)
    start = seat("paper").draw(x, Y, torch.Generator().manual_seed(0))["start"]
    torch.testing.assert_close(start.unique(), torch.tensor([0.4, 0.6]))


def test_the_probability_margins_gradient() -> None:
    z = logits(0, N, 4).requires_grad_()
    p = F.softmax(z, dim=1)
    true = F.one_hot(Y, 4).bool()
    (p.masked_fill(true, -1).amax(1) - p[true]).sum().backward()
    torch.testing.assert_close(probability_margin(Y)(z.detach()), z.grad, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("level", [0.0, 1.2, 5.0])
def test_flooding_is_of_the_mean_over_all_ranks(level: float) -> None:
    """The published ``|L - b| + b``, and its gradient, from two slices of one global batch."""
    losses = torch.rand(N, dtype=torch.float64, requires_grad=True)
    expected = (losses.mean() - level).abs() + level
    gathered = losses.detach()
    actual = flooded(losses[:2], gathered, level) * (2 / 6) + flooded(losses[2:], gathered, level) * (4 / 6)
    assert actual.item() == pytest.approx(expected.item(), rel=1e-12)
    ours, theirs = (torch.autograd.grad(value, losses)[0] for value in (actual, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


def test_the_objective_floods_the_cross_entropy_alone() -> None:
    model = network()
    batch, adv = some_batch()
    run: Any = PlainRun(model)
    plain, deep = (seat("paper", flood).objective(run, batch, {"x": adv}) for flood in (0.0, 3.0))
    assert plain.parts["ce"] < 3
    assert deep.parts["ce"].item() == pytest.approx(6 - plain.parts["ce"].item(), rel=1e-12)
    assert deep.parts["linearity"].item() == plain.parts["linearity"].item()
