"""Properties of every architecture."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from core.config import ModelOptions, Shape
from core.models import build_model

CIFAR = Shape(10, 3, 32)
NAMES = ["small-cnn", "resnet18", "vgg11", "preact-resnet18", "wrn-10-1", "wrn-16-2"]
SHAPES = [CIFAR, Shape(50, 1, 8), Shape(200, 3, 64), Shape(3, 2, 5)]

PUBLISHED_PARAMETERS = {
    ("resnet18", CIFAR): 11_173_962,
    ("preact-resnet18", CIFAR): 11_171_146,
    ("resnet34", CIFAR): 21_282_122,
    # kuangliu/pytorch-cifar has 9,231,114; its convolutions have biases, which BatchNorm cancels.
    ("vgg11", CIFAR): 9_231_114 - (64 + 128 + 2 * 256 + 4 * 512),
    ("wrn-28-10", CIFAR): 36_479_194,
    ("wrn-34-10", CIFAR): 46_160_474,
    # By hand: (3 convolutions) + (BN weights and biases) + (linear on 32 channels of 2 x 2 pixels).
    ("small-cnn", Shape(50, 1, 8)): 9 * (8 + 8 * 16 + 16 * 32) + 2 * (8 + 16 + 32) + (32 * 4 + 1) * 50,
}


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.fixture(params=[(name, norm) for name in NAMES for norm in ("batch", "none")], ids="-".join)
def options(request: pytest.FixtureRequest) -> ModelOptions:
    name, norm = request.param
    return ModelOptions(model=name, norm=norm)


@pytest.mark.parametrize(("name", "shape"), PUBLISHED_PARAMETERS, ids=str)
def test_parameter_counts_are_the_published_ones(name: str, shape: Shape) -> None:
    assert parameters(build_model(ModelOptions(model=name), shape, 0)) == PUBLISHED_PARAMETERS[name, shape]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_logits_are_finite_and_every_parameter_learns(options: ModelOptions, shape: Shape) -> None:
    model = build_model(options, shape, 0)
    x = torch.rand(4, shape.channels, shape.image_size, shape.image_size)
    logits = model(x)
    assert logits.shape == (4, shape.classes)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    nn.functional.cross_entropy(logits, torch.arange(4) % shape.classes).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    # A convolution's bias before ReLU may be dead by chance; its weights are not.
    assert all(parameter.grad.any() for parameter in model.parameters() if parameter.dim() > 1)


def test_seed_decides_every_bit_and_global_rng_is_left_alone(options: ModelOptions) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = build_model(options, CIFAR, 5).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(12)
    again, other = build_model(options, CIFAR, 5).state_dict(), build_model(options, CIFAR, 6).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(not torch.equal(first[name], other[name]) for name in first if first[name].dim() > 1)


def test_input_is_not_changed(options: ModelOptions) -> None:
    x = torch.randn(2, 3, 32, 32)
    kept = x.clone()
    build_model(options, CIFAR, 0)(x)
    assert torch.equal(x, kept)


def test_no_batch_norm_and_no_dependence_between_images_without_norm(options: ModelOptions) -> None:
    model = build_model(options, CIFAR, 0).double()
    has_norm = any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert has_norm == (options.norm == "batch")
    assert any(True for _ in model.buffers()) == has_norm
    for module in model.modules():
        assert not isinstance(module, nn.Conv2d) or (module.bias is None) == has_norm
    x = torch.rand(3, 3, 32, 32, dtype=torch.float64)
    alone = torch.cat([model(image[None]) for image in x])
    assert torch.allclose(model(x), alone) != has_norm


def test_deterministic_in_eval_mode(options: ModelOptions) -> None:
    model = build_model(options, CIFAR, 0).eval()
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize("image_size, side", [(32, 4), (64, 8), (8, 1), (9, 2)])
@pytest.mark.parametrize("name", ["resnet18", "preact-resnet18"])
def test_resnets_average_what_three_halvings_leave(name: str, image_size: int, side: int) -> None:
    model = build_model(ModelOptions(model=name), Shape(10, 3, image_size), 0).double()
    assert isinstance(model, nn.Sequential)
    features = model[:-1](torch.rand(2, 3, image_size, image_size, dtype=torch.float64))
    assert features.shape == (2, 512, side, side)
    assert torch.allclose(model[-1](features), model[-1][-1](features.mean(dim=(2, 3))), atol=1e-12)


@pytest.mark.numeric
@pytest.mark.parametrize("name", ["resnet18", pytest.param("resnet34", marks=pytest.mark.slow)])
def test_resnets_compute_what_torchvisions_do_with_a_cifar_stem(name: str) -> None:
    """The weights are copied in order to torchvision's ResNet with a 3x3 stem and without max-pooling."""
    ours = build_model(ModelOptions(model=name), CIFAR, 3)
    theirs = getattr(torchvision.models, name)(num_classes=10)
    theirs.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    theirs.maxpool = nn.Identity()
    ours_state, theirs_state = ours.state_dict(), theirs.state_dict()
    assert [v.shape for v in ours_state.values()] == [v.shape for v in theirs_state.values()]
    theirs.load_state_dict(dict(zip(theirs_state, ours_state.values(), strict=True)))
    ours, theirs = ours.double(), theirs.double()
    x = torch.rand(4, 3, 32, 32, dtype=torch.float64)
    for train in (True, False):
        torch.testing.assert_close(ours.train(train)(x), theirs.train(train)(x), rtol=1e-9, atol=1e-9)


@pytest.mark.numeric
def test_vgg11_computes_what_torchvisions_does_with_one_linear_layer() -> None:
    ours = build_model(ModelOptions(model="vgg11"), CIFAR, 3).double()
    theirs = torchvision.models.vgg11_bn(num_classes=10).features.double()
    convolutions = [[layer for layer in network if isinstance(layer, nn.Conv2d)] for network in (ours, theirs)]
    for mine, layer in zip(*convolutions, strict=True):
        assert layer.bias is not None
        layer.weight.data, layer.bias.data = mine.weight.data, torch.zeros_like(layer.bias)
    x = torch.rand(4, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(ours(x), ours[-1](theirs(x)), rtol=1e-9, atol=1e-9)


def test_wide_resnets_start_from_he_fan_out() -> None:
    model = build_model(ModelOptions(model="wrn-16-4"), CIFAR, 0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 20_000:
            expected = (2 / (module.out_channels * module.kernel_size[0] ** 2)) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.03)
        if isinstance(module, nn.Linear):
            assert not module.bias.any()


@pytest.mark.numeric
def test_channels_last_gives_the_same_logits(options: ModelOptions) -> None:
    model = build_model(options, Shape(10, 3, 16), 0).double().eval()
    x = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    expected = model(x)
    last = model.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, expected)
