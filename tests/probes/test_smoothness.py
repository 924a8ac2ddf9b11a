"""Linearity error, boundary distortion, margins, Lipschitz constants and weight landscapes against closed forms."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.attacks import Pgd
from core.probes.boundary import distorted
from core.probes.landscape import plane_losses
from core.probes.linearity import linearity_error
from core.probes.lipschitz import local_lipschitz
from core.probes.margin import MAX_MARGIN, margin_along
from core.probes.weight_landscape import filter_normalised, weight_landscape

pytestmark = pytest.mark.numeric


def rng(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(classes: int = 2, pixels: int = 12) -> nn.Module:
    layer = nn.Linear(pixels, classes).double()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(classes, pixels, generator=rng(), dtype=torch.float64))
        layer.bias.copy_(torch.randn(classes, generator=rng(4), dtype=torch.float64) / 10)
    return nn.Sequential(nn.Flatten(), layer).eval()


def images(n: int = 40, low: float = 0.4, high: float = 0.6) -> Tensor:
    return low + (high - low) * torch.rand(n, 3, 2, 2, generator=rng(9), dtype=torch.float64)


class AlongLine(nn.Module):
    """Class 1 where the one pixel is within given intervals, class 0 elsewhere."""

    def __init__(self, *intervals: tuple[float, float]) -> None:
        super().__init__()
        self.intervals = intervals
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        inside = sum(((x > low) & (x < high)).flatten(1).any(1).double() for low, high in self.intervals)
        return torch.stack([1 - inside, inside], 1) * self.scale


def test_linearity_error_is_0_for_a_linear_loss_and_the_remainder_of_a_quadratic_one():
    x, step = images(), torch.randn(40, 3, 2, 2, generator=rng(1), dtype=torch.float64)
    w = torch.randn(3, 2, 2, generator=rng(2), dtype=torch.float64)

    def loss(at: Tensor, curvature: float) -> Tensor:
        return (at * w).flatten(1).sum(1) + curvature / 2 * at.square().flatten(1).sum(1)

    for curvature in (0.0, 3.0):
        found = linearity_error(loss(x, curvature), loss(x + step, curvature), step, w + curvature * x)
        torch.testing.assert_close(found, curvature / 2 * step.square().flatten(1).sum(1), atol=1e-12, rtol=1e-10)


def test_margin_of_a_linear_model_is_the_distance_along_the_direction():
    model, x = linear(), images(300)
    step = torch.randn(x.shape, generator=rng(5), dtype=torch.float64) * 0.01
    w = (model[1].weight[1] - model[1].weight[0]).detach()
    b = (model[1].bias[1] - model[1].bias[0]).detach()
    value = x.flatten(1) @ w + b
    slope = (step.flatten(1) @ w) / step.flatten(1).norm(dim=1)
    exact = -value / slope
    # images stay within the box up to the boundary, so that clipping has no effect
    line = exact[:, None] * step.flatten(1) / step.flatten(1).norm(dim=1, keepdim=True) + x.flatten(1)
    inside = (exact > 0) & (line.amin(1) > 0) & (line.amax(1) < 1)
    assert inside.sum() >= 10
    found = margin_along(model, x, step)
    torch.testing.assert_close(found[inside], exact[inside], rtol=1e-4, atol=1e-7)
    away = (exact <= 0) & (margin_along(model, x, step, 0.3) == 0.3)
    assert away.any()


def test_margin_is_the_first_change_and_50_without_any():
    x = torch.full((2, 1, 1, 1), 0.1, dtype=torch.float64)
    step = torch.tensor([0.05, -0.05], dtype=torch.float64).view(2, 1, 1, 1)
    found = margin_along(AlongLine((0.3, 0.45), (0.6, 0.9)), x, step)
    assert found[0] == pytest.approx(0.2, abs=1e-6)
    assert found[1] == MAX_MARGIN


def test_margin_of_an_attack_of_length_0_is_the_largest():
    assert margin_along(linear(), images(2), torch.zeros(2, 3, 2, 2, dtype=torch.float64)).tolist() == [MAX_MARGIN] * 2


def test_lipschitz_constant_of_a_linear_network_of_rank_1():
    """``f(x) = u <w, x>`` has the constant ``||u||_1 ||w||_1``, which the corner along w attains."""
    u, w = torch.tensor([1.0, -2.0, 0.5]).double(), torch.randn(12, generator=rng(), dtype=torch.float64)
    layer = nn.Linear(12, 3).double()
    layer.weight.data = u[:, None] * w[None]
    model = nn.Sequential(nn.Flatten(), layer).eval()
    exact = (u.abs().sum() * w.abs().sum()).item()
    largest = local_lipschitz(model, images(), 0.05, 50, 0.0125, rng())
    assert largest.tolist() == pytest.approx([exact] * 40, rel=1e-9)
    smallest = local_lipschitz(model, images(), 0.05, 50, 0.0125, rng(), "smallest")
    assert (smallest >= 0).all()
    assert smallest.mean() < 0.1 * exact


def test_lipschitz_bounds_against_all_corners_of_a_tiny_network():
    """The largest ratio of a linear network is attained at a corner, of which 4 pixels have 16."""
    model, x = linear(3, 4), images(6)[:, :1]
    x = x.reshape(6, 1, 2, 2)
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * 4)
    ratios = [(model[1].weight @ corner).abs().sum().item() for corner in corners]
    found = local_lipschitz(model, x, 0.05, 40, 0.0125, rng())
    assert found.max() == pytest.approx(max(ratios), rel=1e-9)
    assert (found <= max(ratios) * (1 + 1e-9)).all()
    assert (local_lipschitz(model, x, 0.05, 40, 0.0125, rng(), "smallest") <= found).all()


def test_lipschitz_ratio_of_one_pixel_has_no_direction():
    layer = nn.Linear(1, 2).double()
    model, x = nn.Sequential(nn.Flatten(), layer), torch.full((3, 1, 1, 1), 0.5, dtype=torch.float64)
    exact = layer.weight.abs().sum().item()
    for end in ("largest", "smallest"):
        found = local_lipschitz(model, x, 0.1, 5, 0.025, rng(), end)
        assert found.tolist() == pytest.approx([exact] * 3, rel=1e-9)


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([(0.14, 0.16)], True),  # wrong at half the step, right at its end
        ([(0.105, 0.115)], True),  # wrong after the first tenth only
        ([(0.185, 0.195)], True),  # wrong before the last tenth only
        ([(0.14, 0.16), (0.19, 0.3)], False),  # wrong at its end, too
        ([(0.05, 0.102)], False),  # only the image itself is wrong
        ([], False),
    ],
)
def test_distorted_means_right_at_the_end_and_wrong_within(intervals, expected):
    x = torch.full((1, 1, 1, 1), 0.1, dtype=torch.float64)
    model = AlongLine((-2, -1), *intervals)
    assert distorted(model, x, torch.tensor([0]), torch.full_like(x, 0.1)).item() is expected


def test_filters_of_a_direction_have_the_norms_of_the_networks_filters(network):
    model = network().double()
    direction = filter_normalised(model, rng())
    own = {name: weight for name, weight in model.named_parameters() if weight.dim() > 1}
    assert direction.keys() == own.keys()
    for name, weight in own.items():
        norms = direction[name].flatten(1).norm(dim=1)
        torch.testing.assert_close(norms, weight.detach().flatten(1).norm(dim=1))
        assert not torch.allclose(direction[name], weight)


def test_weight_landscape_is_the_loss_of_networks_with_moved_weights():
    model, x = linear(4), images(5)
    y = torch.tensor([0, 1, 2, 3, 0])
    directions = [filter_normalised(model, rng(seed)) for seed in (1, 2)]
    before = model[1].weight.clone()
    attack = Pgd(epsilon=0.0, step_size=0.0, steps=1, start="none")
    found = weight_landscape(model, x, y, directions, [-1.0, 0.0, 0.5], attack, seed=0)
    assert found.shape == (5, 3, 3)
    assert torch.equal(model[1].weight, before)
    weight = before + 0.5 * directions[0]["1.weight"] - 1.0 * directions[1]["1.weight"]
    by_hand = F.cross_entropy(x.flatten(1) @ weight.T + model[1].bias, y, reduction="none")
    torch.testing.assert_close(found[:, 2, 0], by_hand.detach())
    line = weight_landscape(model, x, y, directions[:1], [-1.0, 0.0, 0.5], attack, seed=0)
    torch.testing.assert_close(line, found[:, :, 1])


def test_weight_landscape_attacks_anew_at_each_point():
    """The loss of a linear network at its worst corner has a closed form."""
    model, x = linear(2), images(5)
    y = torch.tensor([0, 1, 0, 1, 0])
    direction = filter_normalised(model, rng(1))
    attack = Pgd(epsilon=0.1, step_size=0.1, steps=2, start="none")
    found = weight_landscape(model, x, y, [direction], [-1.0, 0.7], attack, seed=0)
    for i, a in enumerate((-1.0, 0.7)):
        weight = model[1].weight + a * direction["1.weight"]
        w, b = weight[1] - weight[0], model[1].bias[1] - model[1].bias[0]
        sign = torch.where(y == 1, 1.0, -1.0).double()
        worst = sign * (x.flatten(1) @ w + b) - 0.1 * w.abs().sum()
        torch.testing.assert_close(found[:, i], F.softplus(-worst).detach())


def test_plane_losses_of_a_linear_network_by_hand():
    model, x = linear(3), images(2)
    y = torch.tensor([2, 0])
    r1, r2 = (torch.randn(x.shape, generator=rng(s), dtype=torch.float64) for s in (1, 2))
    offsets = torch.tensor([-0.3, 0.0, 0.2], dtype=torch.float64)
    found = plane_losses(model, x, y, r1, r2, offsets, batch_size=4)
    for i, a in enumerate(offsets):
        for j, b in enumerate(offsets):
            exact = F.cross_entropy(model(x + a * r1 + b * r2), y, reduction="none")
            torch.testing.assert_close(found[:, i, j], exact.detach())
