"""Losses, weights and gradients of the methods against independent formulas in float64, image by image or in numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.attacks import Ascent, Pgd
from core.config import Cell
from core.methods import Batch, build_method
from tests.methods.lookup import Lookup, PlainRun, logits, objective_of, whole_batch

pytestmark = pytest.mark.numeric

Y = torch.tensor([0, 2, 1, 1, 0, 3])
N = len(Y)


def cell(method: str, **options: Any) -> Cell:
    return Cell.from_flat({"method": method, "classes": 4, **options})


def softmax(z: Tensor) -> np.ndarray:
    e = np.exp(z.detach().numpy())
    return e / e.sum(1, keepdims=True)


def ce(z: Tensor) -> np.ndarray:
    return -np.log(softmax(z)[np.arange(N), Y.numpy()])


def pair() -> tuple[Tensor, Tensor]:
    return logits(0, N, 4), logits(1, N, 4)


def test_mixed() -> None:
    clean, adv = pair()
    found = objective_of(cell("mixed-at", clean_share=0.3), Lookup(), clean, adv, Y)
    assert found.total.item() == pytest.approx(0.3 * ce(clean).mean() + 0.7 * ce(adv).mean(), rel=1e-12)


def mart_by_hand(clean: Tensor, adv: Tensor, beta: float) -> float:
    p, q = softmax(clean), softmax(adv)
    total = 0.0
    for i, y in enumerate(Y.tolist()):
        best_wrong = max(q[i, c] for c in range(4) if c != y)
        kl = sum(p[i, c] * (math.log(p[i, c]) - math.log(q[i, c] + 1e-12)) for c in range(4))
        total += -math.log(q[i, y]) - math.log(1.0001 - best_wrong + 1e-12) + beta * kl * (1.0000001 - p[i, y])
    return total / N


@pytest.mark.parametrize("beta", [0, 1, 6])
def test_mart(beta: float) -> None:
    clean, adv = pair()
    found = objective_of(cell("mart", beta=beta), Lookup(), clean, adv, Y)
    assert found.total.item() == pytest.approx(mart_by_hand(clean, adv, beta), rel=1e-12)


def test_marts_gradient_goes_through_everything() -> None:
    """Neither the clean target nor the weight ``1 - p[y]`` is detached."""
    clean, adv = (part.requires_grad_() for part in pair())
    objective_of(cell("mart", beta=6), Lookup(), clean, adv, Y).total.backward()
    for given in (clean, adv):
        for at in ((0, 0), (1, 2), (5, 1)):
            values = []
            for step in (1e-6, -1e-6):
                moved = given.detach().clone()
                moved[at] += step
                one, other = (moved if part is given else part.detach() for part in (clean, adv))
                values.append(mart_by_hand(one, other, 6))
            assert given.grad is not None
            assert given.grad[at].item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("steps", [2, 5, 10])
@pytest.mark.parametrize("kind", ["tanh", "sigmoid", "discrete"])
def test_gairats_weights_fall_with_the_steps_survived(steps: int, kind: str) -> None:
    chosen = cell("gairat", attack_steps=steps, reweighting=kind, epochs=2)
    clean, adv = pair()
    survived = torch.tensor([0.0, 1.0, steps, 2.0, steps, 0.0], dtype=torch.float64)
    half = steps // 2
    weights = []
    for kappa in survived.tolist():
        argument = -1 + 5 * (half - kappa) / half
        weights.append(
            {
                "tanh": (1 + math.tanh(argument)) / 2,
                "sigmoid": 1 / (1 + math.exp(-argument)),
                "discrete": (steps + 1 - kappa) / (steps + 1),
            }[kind]
        )
    expected = float((np.array(weights) / np.mean(weights) * ce(adv)).mean())
    found = objective_of(chosen, Lookup(), clean, adv, Y, survived=survived)
    assert found.total.item() == pytest.approx(expected, rel=1e-12)
    assert weights[0] > weights[1] > weights[2]


def test_gairat_begins_after_its_share_of_the_epochs() -> None:
    """Official code: plain adversarial training before epoch 60 of 120."""
    chosen = cell("gairat", epochs=120)
    clean, adv = pair()
    survived = torch.tensor([0.0, 10.0, 5.0, 5.0, 2.0, 9.0], dtype=torch.float64)
    run: Any = PlainRun(Lookup())
    totals = {}
    for run.epoch in (59, 60):
        batch = whole_batch(clean, Y)
        totals[run.epoch] = build_method(chosen).objective(run, batch, {"x": adv, "survived": survived}).total.item()
    assert totals[59] == pytest.approx(ce(adv).mean(), rel=1e-12)
    assert totals[60] != pytest.approx(ce(adv).mean(), rel=1e-3)


class Halves(nn.Module):
    """Two classes; the second wins where the first pixel is above a half."""

    def forward(self, x: Tensor) -> Tensor:
        margin = x.flatten(1)[:, 0] - 0.5
        return torch.stack([-margin, margin], dim=1)


def test_gairat_counts_correct_iterates_of_all_but_the_last_image() -> None:
    """A count, not the first failure; the attack moves 0.1 a step towards the other class."""
    x = torch.tensor([0.1, 0.35, 0.47, 0.9]).view(4, 1, 1, 1)
    y = torch.tensor([0, 0, 0, 0])
    options = {"epsilon": 1, "attack_steps": 5, "attack_step_size": 0.1, "attack_start": "none"}
    method = build_method(Cell.from_flat({"method": "gairat", **options}))
    run: Any = PlainRun(Halves())
    found = method.attack(run, whole_batch(x, y, start=x))
    # images 0.1 .. 0.5 of the first (0.5 is a tie that class 0 wins in argmax); 0.35, 0.45; 0.47; none
    assert found["survived"].tolist()[1:] == [2, 1, 0]
    assert found["survived"][0] >= 4
    assert torch.allclose(found["x"].flatten(), torch.tensor([0.6, 0.85, 0.97, 1.0]))


def test_a_steered_attack_takes_each_images_own_steps() -> None:
    x = torch.full((3, 1, 1, 1), 0.2)
    attack = Pgd(epsilon=1, step_size=0.1, steps=3, start="none")
    seen: list[int] = []

    def steer(step: int, found: Tensor) -> Tensor | None:
        seen.append(step)
        assert found.shape == (3, 2)
        return None if step == 0 else torch.tensor([0.0, 0.05, 0.2])

    low, high = x - 0.15, x + torch.tensor([0.15, 0.15, 0.4]).view(3, 1, 1, 1)
    how = Ascent(steer=steer, limits=(low, high))
    moved = attack.perturb_from(Halves(), x, torch.zeros(3, dtype=torch.int64), x, how)
    assert seen == [0, 1, 2]
    assert torch.allclose(moved.flatten(), torch.tensor([0.3, 0.35, 0.6]))


def test_an_ascent_of_ones_own_replaces_the_loss() -> None:
    x = torch.full((2, 1, 1, 1), 0.5)
    attack = Pgd(epsilon=1, step_size=0.1, steps=2, start="none")
    down = attack.perturb_from(
        Halves(), x, torch.tensor([0, 0]), x, Ascent(lambda z: torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).to(z))
    )
    assert torch.allclose(down.flatten(), torch.tensor([0.3, 0.7]))


def test_the_rademacher_start_is_on_the_balls_corners() -> None:
    x = torch.full((4, 3, 8, 8), 0.5)
    chosen = Cell.from_flat({"method": "pgd-at", "attack_start": "rademacher", "epsilon": 0.2, "rademacher_share": 0.5})
    start = build_method(chosen).draw(x, torch.zeros(4), torch.Generator().manual_seed(0))["start"]
    assert torch.equal(start.unique(), torch.tensor([0.4, 0.6]))
    assert (start > 0.5).double().mean().item() == pytest.approx(0.5, abs=0.06)


def linear(nonlinear: bool) -> nn.Module:
    torch.manual_seed(3)
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(9, 4)]
    return nn.Sequential(layers[0], nn.Linear(9, 9), nn.Tanh(), layers[1]).double() if nonlinear else _Affine().double()


class _Affine(nn.Module):
    """A loss whose gradient by the image is the same everywhere: the logits are clamped far out."""

    def __init__(self) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.linspace(-1, 1, 9))

    def forward(self, x: Tensor) -> Tensor:
        score = x.flatten(1) @ self.direction
        return torch.stack([score, 0 * score, 0 * score, 0 * score], dim=1)


def align(model: nn.Module, seed: int = 0) -> tuple[Any, Batch, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, start, point = (torch.rand(N, 1, 3, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    run: Any = PlainRun(model)
    return run, whole_batch(x, Y, start=start, point=point), x


def test_grad_align_is_the_mean_of_one_minus_the_cosine_and_its_second_derivative() -> None:
    model = linear(nonlinear=True)
    run, batch, x = align(model)
    found = build_method(cell("grad-align", alignment=0.7)).objective(run, batch, {"x": x})
    parameters = dict(model.named_parameters())

    def gradient(weights: dict[str, Tensor], image: Tensor, y: Tensor) -> Tensor:
        call = torch.func.functional_call
        return torch.func.grad(lambda at: F.cross_entropy(call(model, weights, (at[None],)), y[None]))(image).flatten()

    first = [gradient(parameters, image, y).detach() for image, y in zip(batch.drawn["start"], Y, strict=True)]

    def misalignment(weights: dict[str, Tensor]) -> Tensor:
        second = [gradient(weights, image, y) for image, y in zip(batch.drawn["point"], Y, strict=True)]
        cosines = [g1 @ g2 / (g1.norm() * g2.norm()) for g1, g2 in zip(first, second, strict=True)]
        return 0.7 * (1 - torch.stack(cosines)).mean()

    assert found.parts["alignment"].item() == pytest.approx(misalignment(parameters).item(), rel=1e-10)
    expected = torch.autograd.grad(misalignment(parameters), list(parameters.values()))
    actual = torch.autograd.grad(found.parts["alignment"], list(parameters.values()))
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-12)


def test_grad_align_is_0_where_the_gradient_points_one_way_and_without_gradients() -> None:
    for scale in (1.0, 0.0):
        model = linear(nonlinear=False)
        with torch.no_grad():
            model.direction.mul_(scale)
        run, batch, x = align(model)
        found = build_method(cell("grad-align", alignment=5)).objective(run, batch, {"x": x})
        assert found.parts["alignment"].item() == pytest.approx(0, abs=1e-12)
        (gradient,) = torch.autograd.grad(found.total, [model.direction])
        assert gradient.isfinite().all()


def test_alp_is_half_and_half_plus_the_squared_difference() -> None:
    clean, adv = pair()
    found = objective_of(cell("alp", pairing=0.4), Lookup(), clean, adv, Y)
    squared = ((clean - adv) ** 2).numpy().mean()
    assert found.total.item() == pytest.approx((ce(clean).mean() + ce(adv).mean()) / 2 + 0.4 * squared, rel=1e-12)


@pytest.mark.parametrize("images", [1, 2, 5, 6])
def test_clp_pairs_the_first_half_with_the_second(images: int) -> None:
    z, y = logits(2, images, 4).requires_grad_(), Y[:images]
    found = objective_of(cell("clp", pairing=0.4), Lookup(), z, z, y)
    twin = z.detach().clone().requires_grad_()
    pairs = images // 2
    expected = F.cross_entropy(twin, y)
    if pairs:
        expected = expected + 0.4 * (twin[:pairs] - twin[pairs : 2 * pairs]).square().mean()
    assert found.total.item() == pytest.approx(expected.item(), rel=1e-12)
    found.total.backward()
    expected.backward()
    torch.testing.assert_close(z.grad, twin.grad, rtol=1e-12, atol=1e-15)


def test_clp_trains_on_noisy_images() -> None:
    x = torch.full((50, 1, 8, 8), 0.5)
    method = build_method(cell("clp", input_noise=0.1))
    run: Any = PlainRun(Lookup())
    drawn = method.draw(x, Y, torch.Generator().manual_seed(0))
    noisy = method.attack(run, whole_batch(x, Y, **drawn))["x"]
    assert (noisy - x).std().item() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("kind", ["linear", "top", "uniform"])
@pytest.mark.parametrize("distance", ["squared-l2", "kl"])
def test_iseat_weighs_the_distance_by_the_rank_of_vulnerability(kind: str, distance: str) -> None:
    clean, adv = pair()
    found = objective_of(
        cell("iseat", smooth=0.3, smooth_weights=kind, smooth_distance=distance), Lookup(), clean, adv, Y
    )
    vulnerability = ce(adv) - ce(clean)
    p, q = softmax(clean), softmax(adv)
    total = 0.0
    for i in range(N):
        rank = int((vulnerability > vulnerability[i]).sum())
        weight = {"linear": 1 - rank / N, "top": float(rank < N / 10), "uniform": 1.0}[kind]
        squared = float(((adv[i] - clean[i]) ** 2).sum())
        total += weight * (squared if distance == "squared-l2" else float((p[i] * np.log(p[i] / q[i])).sum()))
    assert found.total.item() == pytest.approx(ce(adv).mean() + 0.3 * total / N, rel=1e-12)


def test_iseats_linear_weights_are_one_down_to_one_over_m() -> None:
    weights = build_method(cell("iseat")).weights(torch.tensor([0.1, 0.9, -0.2, 0.5]))  # type: ignore[attr-defined]
    assert weights.tolist() == [0.5, 1.0, 0.25, 0.75]


def test_frees_perturbation_goes_on_from_batch_to_batch_by_position() -> None:
    """Against the algorithm written down, with plain gradient descent as the update."""
    torch.manual_seed(0)
    model, twin = (nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).double() for _ in range(2))
    twin.load_state_dict(model.state_dict())
    options = {"epsilon": 0.1, "attack_step_size": 0.04, "replays": 3, "batch_size": 6, "train_images": 500}
    method: Any = build_method(cell("free", **options))
    method.delta = method.delta.double()
    run: Any = PlainRun(model)

    def descend(batch: Batch, found: dict[str, Tensor]) -> Any:
        objective = method.objective(run, batch, found)
        objective.total.backward()
        with torch.no_grad():
            for weight in model.parameters():
                weight.sub_(0.1 * weight.grad)
                weight.grad = None
        return objective

    run.descend = descend
    delta = torch.zeros(6, 1, 8, 8, dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    for size in (6, 4, 6):
        x = torch.rand(size, 1, 8, 8, generator=generator, dtype=torch.float64)
        method.step(run, whole_batch(x, Y[:size]))
        for _ in range(3):
            image = (x + delta[:size]).clamp(0, 1).requires_grad_()
            gradients = torch.autograd.grad(F.cross_entropy(twin(image), Y[:size]), [image, *twin.parameters()])
            delta[:size] = (delta[:size] + 0.04 * gradients[0].sign()).clamp(-0.1, 0.1)
            with torch.no_grad():
                for weight, gradient in zip(twin.parameters(), gradients[1:], strict=True):
                    weight.sub_(0.1 * gradient)
        torch.testing.assert_close(method.delta, delta, rtol=0, atol=1e-15)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["mixed-at", "mart", "gairat", "clp", "alp", "iseat", "free"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_losses_are_computed_in_float32_or_better(name: str, dtype: torch.dtype) -> None:
    clean, adv = (part.to(dtype) for part in pair())
    survived = {"survived": torch.arange(N, dtype=torch.float32)} if name == "gairat" else {}
    found = objective_of(cell(name), Lookup(), clean, adv, Y, **survived)
    exact = objective_of(cell(name), Lookup(), clean.double(), adv.double(), Y, **survived)
    assert found.total.dtype == torch.float32
    assert found.total.item() == pytest.approx(exact.total.item(), rel=1e-4)
    assert sum(found.parts.values()).item() == pytest.approx(found.total.item(), rel=1e-6)
