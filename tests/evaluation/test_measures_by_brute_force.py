"""Measures of tiny nonlinear networks in float64, against exhaustive search and explicit loops."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.evaluation.measures.names import MeasureName
from core.evaluation.measures.per_image import WEIGHT_OFFSETS_1D, input_offsets, measure_images
from core.evaluation.measures.spec import MeasureSpec
from core.probes.weight_landscape import filter_normalised

EPSILON = 0.1
STEPS = 60


def spec(name: MeasureName) -> MeasureSpec:
    return MeasureSpec(name=name, epsilon=EPSILON, steps=STEPS, step_fraction=0.1, seed=5)


def tiny(seed: int = 0) -> nn.Module:
    """Four pixels, three classes, and boundaries that bend within the ball."""
    g = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 3)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(2 * torch.randn(parameter.shape, generator=g, dtype=torch.float64))
        model[1].bias.copy_(-model[1].weight.sum(1) / 2 + model[1].bias / 2)
    return model


def images(n: int = 12) -> Tensor:
    return 0.3 + 0.4 * torch.rand(n, 1, 2, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def ball(points: int) -> Tensor:
    """A grid of the whole ball of four pixels, ``[points ** 4, 1, 2, 2]``. With an even number of points it lacks 0."""
    axis = torch.linspace(-EPSILON, EPSILON, points, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis, axis, axis).view(-1, 1, 2, 2)


@torch.no_grad()
def losses(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(model(x), y, reduction="none")


def sharpest(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The gradient of each image's loss by central differences."""
    step, found = 1e-6, torch.zeros_like(x)
    for row in range(2):
        for column in range(2):
            move = torch.zeros_like(x[:1])
            move[..., row, column] = step
            found[:, 0, row, column] = (losses(model, x + move, y) - losses(model, x - move, y)) / (2 * step)
    return found


@pytest.fixture(params=[0, 1])
def setting(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor, Tensor]:
    model, x = tiny(request.param), images()
    with torch.no_grad():
        y = model(x).argmax(1)
    y[:3] = (y[:3] + 1) % 3  # some images are misclassified without an attack
    return model, x, y


def test_vulnerability_is_the_largest_rise_of_the_loss_in_the_ball(setting: tuple[nn.Module, Tensor, Tensor]) -> None:
    model, x, y = setting
    found = measure_images(model, x, y, spec("adversarial-vulnerability"), seed=0)["vulnerability"]
    grid = ball(12)
    most = torch.stack([losses(model, x[i] + grid, y[i].expand(len(grid))).max() for i in range(len(x))])
    rise = most - losses(model, x, y)
    assert (found <= rise * 1.01 + 1e-9).all()
    assert (found >= 0.99 * rise).float().mean() > 0.8, "PGD finds nearly the largest rise of most images"


def test_margin_is_the_first_change_on_a_dense_line(setting: tuple[nn.Module, Tensor, Tensor]) -> None:
    model, x, y = setting
    found = measure_images(model, x, y, spec("margin"), seed=0)
    measure = measure_images(model, x, y, spec("input-landscape"), seed=0)["loss"]
    assert measure.shape == (12, 21, 21)
    changed = 0
    for i in range(len(x)):
        direction = attack_direction(model, x[i : i + 1], y[i : i + 1], found["attack_length"][i])
        if direction is None:
            continue
        along = torch.linspace(0, 3, 30_001, dtype=torch.float64)
        with torch.no_grad():
            predicted = model((x[i] + along.view(-1, 1, 1, 1) * direction).clamp(0, 1)).argmax(1)
        other = (predicted != predicted[0]).nonzero()[:, 0]
        if len(other) and along[other[0]] > 1e-3:
            changed += 1
            assert found["margin"][i].item() == pytest.approx(along[other[0]].item(), abs=2e-4)
    assert changed >= 3


def attack_direction(model: nn.Module, x: Tensor, y: Tensor, length: Tensor) -> Tensor | None:
    """The unit vector to the corner with the largest loss; None if the attack of this length did not end there."""
    corners = torch.cartesian_prod(*[torch.tensor([-EPSILON, EPSILON]).double()] * 4).view(-1, 1, 2, 2)
    values = losses(model, x + corners, y.expand(16))
    if abs(length.item() - 2 * EPSILON) > 1e-9 or values.topk(2).values.diff().abs() < 0.3:
        return None
    corner = corners[values.argmax()]
    return corner / corner.norm()


def test_linearity_error_with_a_gradient_by_finite_differences(setting: tuple[nn.Module, Tensor, Tensor]) -> None:
    model, x, y = setting
    gradient = sharpest(model, x, y)
    step = EPSILON * gradient.sign()
    exact = losses(model, x + step, y) - losses(model, x, y) - (gradient * step).flatten(1).sum(1)
    found = measure_images(model, x, y, spec("linearity-error"), seed=0)["linearity_error"]
    torch.testing.assert_close(found, exact.abs(), rtol=1e-5, atol=1e-7)
    assert found.max() > 0.1


def all_ratios(model: nn.Module, x: Tensor, radius: float) -> Tensor:
    """``||f(x) - f(x')||_1 / ||x - x'||_inf`` over a grid of the ball at several scales, ``[n, points]``."""
    grid = torch.cat([ball(12) * (scale * radius / EPSILON) for scale in (1, 0.5, 0.25, 0.1, 0.01)])
    distance = grid.flatten(1).abs().amax(1)
    with torch.no_grad():
        return torch.stack([(model(one + grid) - model(one[None])).abs().sum(1) / distance for one in x])


def test_lipschitz_bounds_over_the_whole_ball(setting: tuple[nn.Module, Tensor, Tensor]) -> None:
    """The search ends at a local maximum: nearly the largest ratio of a network that is almost linear in the ball."""
    model, x, y = setting
    for radius, share in ((EPSILON / 100, 0.93), (EPSILON, 0.65)):
        small = spec("lipschitz").model_copy(update={"epsilon": radius})
        found, exact = measure_images(model, x, y, small, seed=0), all_ratios(model, x, radius)
        largest = exact.amax(1)
        assert (found["largest"] <= 1.02 * largest).all()
        assert (found["largest"] / largest).mean() > share
        assert (found["smallest"] < exact.quantile(0.15, dim=1)).float().mean() > 0.8


def test_boundary_distortion_by_explicit_loops() -> None:
    """A long step crosses several boundaries of a network with large weights."""
    model, x = tiny(), images(400)
    with torch.no_grad():
        model[1].weight.mul_(3)
        model[1].bias.mul_(3)
    y = torch.randint(0, 3, (400,), generator=torch.Generator().manual_seed(8))
    long = spec("boundary-distortion").model_copy(update={"epsilon": 0.3})
    found = measure_images(model, x, y, long, seed=0)
    step = (x + 0.3 * sharpest(model, x, y).sign()).clamp(0, 1) - x
    with torch.no_grad():
        right = torch.stack([model(x + k / 10 * step).argmax(1) == y for k in range(1, 11)])
    wrong = [{k for k, good in enumerate(image, start=1) if not good} for image in right.T.tolist()]
    assert sum(10 not in parts and bool(parts) for parts in wrong) > 20
    assert found["resists_fgsm"].tolist() == [10 not in parts for parts in wrong]
    assert found["distorted"].tolist() == [10 not in parts and bool(parts) for parts in wrong]


def test_input_landscape_has_the_clean_loss_in_the_middle_and_the_attacks_loss_on_its_axis(
    setting: tuple[nn.Module, Tensor, Tensor],
) -> None:
    model, x, y = setting
    loss = measure_images(model, x, y, spec("input-landscape"), seed=0)["loss"]
    vulnerability = measure_images(model, x, y, spec("adversarial-vulnerability"), seed=0)["vulnerability"]
    length = measure_images(model, x, y, spec("margin"), seed=0)["attack_length"]
    torch.testing.assert_close(loss[:, 10, 10], losses(model, x, y))
    # the offset of the first axis after half of its range is the l2 length of a corner of the ball
    offsets = torch.tensor(input_offsets(EPSILON, 4))
    assert offsets[15].item() == pytest.approx(2 * EPSILON)
    at_corner = (length - 2 * EPSILON).abs() < 1e-9
    assert at_corner.sum() >= 3
    torch.testing.assert_close(loss[at_corner, 15, 10], (losses(model, x, y) + vulnerability)[at_corner])


@pytest.mark.parametrize("kind", ["weight-landscape", "weight-landscape-2d"])
def test_weight_landscapes_are_losses_of_networks_that_are_built_by_hand(kind: MeasureName) -> None:
    """A convolution with BatchNorm, whose own statistics and parameters stay as they are."""
    g = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3))
    model.double()
    with torch.no_grad():
        model(torch.rand(64, 1, 2, 2, generator=g, dtype=torch.float64))  # running statistics
    model.eval()
    x, y = images(4), torch.tensor([0, 1, 2, 0])
    still = spec(kind).model_copy(update={"epsilon": 0.0, "steps": 1})
    found = measure_images(model, x, y, still, seed=0)["loss"]
    rng = torch.Generator().manual_seed(still.seed)
    directions = [filter_normalised(model, rng) for _ in range(found.dim() - 1)]
    assert set(directions[0]) == {"0.weight", "4.weight"}
    offsets = WEIGHT_OFFSETS_1D if kind == "weight-landscape" else torch.linspace(-1, 1, 11).tolist()
    for place in [(0,) * len(directions), tuple(range(3, 3 + len(directions)))]:
        moved = copy.deepcopy(model)
        with torch.no_grad():
            for name, parameter in moved.named_parameters():
                for index, direction in zip(place, directions, strict=True):
                    if name in direction:
                        parameter += offsets[index] * direction[name]
        torch.testing.assert_close(found[(slice(None), *place)], losses(moved, x, y), rtol=1e-9, atol=1e-12)
