"""The folded network and its chain of matrix products, compared with the plain network in eval mode."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.config import ModelOptions, Shape
from core.fast import FoldedNetwork, by_autograd
from core.fast.chain import Chain, chains
from core.fast.placement import place
from core.models import build_model

pytestmark = pytest.mark.numeric

Build = Callable[..., tuple[nn.Module, Tensor]]


@pytest.fixture
def build() -> Build:
    """A float64 network in train mode, after a few batches, and images for it."""

    def make(name: str, norm: str = "batch", channels: int = 3, side: int = 8) -> tuple[nn.Module, Tensor]:
        rng = torch.Generator().manual_seed(0)
        shape = Shape(channels=channels, image_size=side, classes=7)
        model = build_model(ModelOptions(model=name, norm=norm), shape, 0).double()
        size = (6, channels, side, side)
        for _ in range(3):
            model(torch.rand(size, generator=rng, dtype=torch.float64))
        return model, torch.rand(size, generator=rng, dtype=torch.float64)

    return make


def shake(model: nn.Module) -> None:
    """Change weights and statistics in place, like a training step."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            if tensor.is_floating_point():
                tensor.mul_(1 + 0.1 * torch.rand(tensor.shape, generator=rng, dtype=tensor.dtype))


def double_logits(logits: Tensor) -> Tensor:
    return 2 * logits


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize(
    ("name", "channels", "folds"),
    [("small-cnn", 1, 3), ("small-cnn", 3, 3), ("resnet18", 3, 20), ("preact-resnet18", 3, 8), ("wrn-10-1", 1, 3)],
)
def test_computes_what_the_network_computes(build: Build, name: str, norm: str, channels: int, folds: int) -> None:
    model, x = build(name, norm, channels)
    folded = FoldedNetwork(model)
    folded.image_gradient(x, double_logits)  # An existing chain must be refreshed, too.
    shake(model)
    folded.refresh()
    model.eval()
    with torch.no_grad():
        assert torch.allclose(folded(x), model(x), rtol=0, atol=1e-12)
    logits, gradient = folded.image_gradient(x, double_logits)
    expected, by_model = by_autograd(model, x, double_logits)
    assert torch.allclose(logits, expected, rtol=0, atol=1e-12)
    assert torch.allclose(gradient, by_model, rtol=1e-9, atol=1e-9 * by_model.abs().max().item())
    assert by_model.abs().max() > 0
    assert len(folded._folds) == (folds if norm == "batch" else 0)
    assert any(folded._chains.values()) == (name == "small-cnn")


def test_sees_no_change_before_it_is_refreshed(build: Build) -> None:
    model, x = build("small-cnn")
    folded = FoldedNetwork(model)
    with torch.no_grad():
        before = folded(x)
        shake(model[0])  # type: ignore[index]
        assert torch.equal(folded(x), before)
        folded.refresh()
        assert not torch.allclose(folded(x), before)


def test_has_nothing_to_train_and_leaves_the_model_alone(build: Build) -> None:
    model, x = build("resnet18")
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folded = FoldedNetwork(model)
    folded.image_gradient(x, double_logits)
    assert not list(folded.parameters())
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("name", ["small-cnn", "resnet18"])
def test_half_precision_between_first_and_last_layer(build: Build, name: str) -> None:
    model, x = build(name)
    model, x = model.float(), x.float()
    half = FoldedNetwork(model, torch.bfloat16)
    shake(model)
    half.refresh()
    model.eval()
    expected, by_model = by_autograd(model, x, double_logits)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain, plain_gradient = by_autograd(model, x, double_logits)
    logits, gradient = half.image_gradient(x, double_logits)
    assert logits.dtype == gradient.dtype == torch.float32
    assert 0 < (logits - expected).norm() < 2 * (plain - expected).norm()
    assert (gradient - by_model).norm() < 2 * (plain_gradient - by_model).norm()
    assert (gradient.sign() == by_model.sign()).float().mean() > 0.9
    assert torch.equal(half(x), half.network(x)) or name == "small-cnn"


class Own(nn.Module):
    """A user's network, whose forward has one line that cannot be followed layer by layer, or needs the mode."""

    def __init__(self, line: Callable[[Own, Tensor], Tensor]) -> None:
        super().__init__()
        self.line = line
        self.linear = nn.Linear(4, 4).double()
        self.scale = nn.Parameter(torch.full((4,), 2.0, dtype=torch.float64))
        self.register_buffer("mean", torch.tensor(0.5, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.line(self, x.flatten(1)))


UNFOLDABLE: dict[str, Callable[[Own, Tensor], Tensor]] = {
    "branches on values": lambda own, x: x if x.sum() > 0 else -x,
    "branches on the shape": lambda own, x: x if x.shape[0] > 1 else -x,
    "a parameter of its own": lambda own, x: own.scale * x,
    "normalises images": lambda own, x: x - own.mean,
    "the number of images": lambda own, x: x + torch.ones(len(x), 1, dtype=x.dtype),
    "weights of a layer that it does not call": lambda own, x: F.linear(x, own.linear.weight),
}


@pytest.mark.parametrize("line", UNFOLDABLE)
def test_a_network_that_cannot_be_followed_stays_as_it_is(line: str) -> None:
    model = Own(UNFOLDABLE[line])
    model.linear.eval()
    assert FoldedNetwork.of(model) is model
    assert model.training
    assert not model.linear.training


@pytest.mark.parametrize(
    "line",
    [
        lambda own, x: F.dropout(x, 0.5, own.training),
        lambda own, x: -x if own.training else x,
    ],
)
def test_a_forward_that_asks_for_the_mode_is_folded_in_eval_mode(line: Callable[[Own, Tensor], Tensor]) -> None:
    model, x = Own(line), torch.rand(5, 1, 2, 2, dtype=torch.float64)
    folded = FoldedNetwork(model)
    assert all(module.training for module in model.modules())
    assert torch.equal(folded(x), model.eval()(x))


class Standardised(nn.Conv2d):
    """A convolution that computes something else than its base class."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight / self.weight.std(), self.bias, padding=1)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, nn.Identity])
def test_a_layer_derived_from_torchs_computes_what_it_does_alone(norm: Callable[..., nn.Module]) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 3), norm(3), nn.ReLU(), Standardised(3, 3, 3, padding=1), norm(3), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(108, 4)).double()
    x = torch.rand(5, 1, 8, 8, dtype=torch.float64)
    model(x)
    folded = FoldedNetwork(model)
    expected, by_model = by_autograd(model.eval(), x, double_logits)
    logits, gradient = folded.image_gradient(x, double_logits)
    assert torch.allclose(logits, expected, rtol=0, atol=1e-12)
    assert torch.allclose(gradient, by_model, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("by_row", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (1, 2, 0), ((3, 1), (2, 1), (0, 2))])
def test_a_convolutions_matrix_is_its_effect_on_single_pixels(
    kernel: int, stride: int, padding: int, by_row: tuple[bool, bool]
) -> None:
    convolution = nn.Conv2d(2, 3, kernel, stride, padding, bias=False).double()
    size = (2, 5, 4)
    placed = place(convolution, size, by_row)
    pixels = torch.eye(40, dtype=torch.float64).view(40, *size)
    with torch.no_grad():
        seen = convolution(pixels)
        weights = convolution.weight.flatten()[placed.weights]
    rows = seen.transpose(1, 2).flatten(1) if by_row[1] else seen.flatten(1)
    order = torch.arange(40).view(size)
    columns = order.transpose(0, 1).flatten() if by_row[0] else order.flatten()
    matrix = torch.zeros(rows.shape[1], 40, dtype=torch.float64)
    matrix.view(-1)[placed.entries] = weights
    assert torch.equal(matrix, rows[columns].t())


def test_bands_hold_all_that_is_not_zero() -> None:
    convolution = nn.Conv2d(8, 16, 3, 2, 1)
    placed = place(convolution, (8, 8, 8), (True, True))
    assert len(placed.bands) == 4
    covered = torch.zeros(256, 512)
    for rows, columns in placed.bands:
        covered[rows, columns] += 1
    assert covered.flatten()[placed.entries].eq(1).all()
    assert covered.mean() < 0.4


def test_only_rows_of_tiny_plain_layers_are_chains() -> None:
    head: list[nn.Module] = [nn.Flatten(), nn.Linear(4 * 64, 3)]
    x = torch.rand(2, 1, 8, 8)
    assert chains([nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), *head], x)
    assert not chains([nn.Conv2d(1, 4, 3, padding=1), nn.Sigmoid(), *head], x)
    assert not chains([nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular"), *head], x)
    assert not chains([nn.Conv2d(1, 4, 3, padding=1)], x)
    assert not chains([nn.Conv2d(1, 4, 3, padding=1), *head], torch.rand(2, 1, 64, 64))
    assert not chains(head, x)


def test_a_chain_leaves_its_images_alone() -> None:
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 3)]
    x = torch.rand(2, 1, 8, 8)
    before = x.clone()
    with torch.no_grad():
        Chain(layers, (1, 8, 8)).image_gradient(x, double_logits)
    assert torch.equal(x, before)


def test_batch_norm_that_follows_no_convolution_stays_float32(build: Build) -> None:
    """Autocast keeps it in float32, because bfloat16 statistics have only 8 bits."""
    model, x = build("preact-resnet18", "batch")
    model.float()
    half = FoldedNetwork(model, torch.bfloat16)
    norms = [layer for layer in half.network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) == 8
    assert {tensor.dtype for layer in norms for tensor in (layer.weight, layer.running_var)} == {torch.float32}
    model.eval()
    with torch.no_grad():
        exact, found = model(x.float()), half(x.float())
    assert (found - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("replace", ["data", "parameter", "buffer"])
def test_a_replaced_tensor_is_noticed(build: Build, replace: str) -> None:
    model, _ = build("resnet18", "batch")
    folded = FoldedNetwork(model)
    convolution = next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
    norm = next(layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d))
    with torch.no_grad():
        convolution.weight.mul_(2)
    folded.refresh()
    if replace == "data":
        nn.utils.vector_to_parameters(nn.utils.parameters_to_vector(model.parameters()), model.parameters())
    elif replace == "parameter":
        convolution.weight = nn.Parameter(convolution.weight.detach().clone())
    else:
        norm.running_mean = norm.running_mean.clone()  # type: ignore[union-attr]
    with pytest.raises(RuntimeError, match="was replaced: tensors of a folded model change in place"):
        folded.refresh()
