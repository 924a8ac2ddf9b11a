"""The validation in one attack run, compared with separate plain measurements."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from core.config import ProtocolOptions
from core.probes import validation_means, validation_sums
from tests.networks import Float64

pytestmark = pytest.mark.numeric

EPSILON = 0.08


class Set(NamedTuple):
    images: Tensor
    labels: Tensor


@pytest.fixture
def images():
    rng = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (37, 1, 8, 8), generator=rng)
    return Set(pixels.to(torch.uint8), torch.randint(0, 5, (37,), generator=rng))


def plain_validation(model, images, protocol, seed, center):
    """All metrics measured separately, image by image, in float64."""
    model = model.double().eval()
    rng = torch.Generator().manual_seed(seed)
    noise = torch.rand(images.images.shape, generator=rng) * 2 - 1
    rows = []
    for pixels, label, row in zip(images.images, images.labels, noise, strict=True):
        x, y = pixels[None].double() / 255, label[None]

        def gradient(at, y=y):
            leaf = at.clone().requires_grad_()
            return torch.autograd.grad(F.cross_entropy(model(leaf), y), leaf)[0]

        unclamped = x + EPSILON * row.double()
        start = unclamped.clamp(0, 1)
        x_adv, signs = start, []
        for _ in range(protocol.eval_steps):
            signs.append(gradient(x_adv).sign().flatten())
            step = x_adv + EPSILON * protocol.eval_step_fraction * signs[-1].view_as(x)
            x_adv = torch.min(torch.max(step, x - EPSILON), x + EPSILON).clamp(0, 1)
        pairs = [F.cosine_similarity(a, b, dim=0) for a in signs for b in signs if a is not b]
        g = gradient(x_adv)
        origin = x if center == "natural" else unclamped  # The published code uses the start before the clamp.
        fgsm = (x + EPSILON * gradient(x).sign()).clamp(0, 1)
        clean, step = F.cross_entropy(model(x), y).item(), fgsm - x
        remainder = F.cross_entropy(model(fgsm), y).item() - clean - (step * gradient(x)).sum().item()
        inside = [bool(model(x + k / 10 * step).argmax(1) == y) for k in range(1, 11)]
        smoothness = {
            "val/linearity_error": abs(remainder),
            "val/boundary_distortion": float(inside[-1] and not all(inside)),
        }
        rows.append(
            {
                "val/clean_acc": float(model(x).argmax(1) == y),
                "val/clean_loss": F.cross_entropy(model(x), y).item(),
                "val/pgd10_acc": float(model(x_adv).argmax(1) == y),
                "val/pgd10_loss": F.cross_entropy(model(x_adv), y).item(),
                "val/fgsm_acc": float(model(fgsm).argmax(1) == y),
                "val/fosc": (EPSILON * g.abs().sum() - ((x_adv - origin) * g).sum()).item(),
                "val/sgcs": torch.stack(pairs).mean().item(),
                **(smoothness if protocol.smoothness else {}),
            }
        )
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def validate(model, images, epsilon, protocol, seed, batch_size=512):
    return validation_means(validation_sums(model, images, epsilon, protocol, seed, batch_size))


@pytest.mark.parametrize("center, smoothness", [("natural", True), ("start", False)])
def test_equals_separate_measurements(network, images, center, smoothness):
    protocol = ProtocolOptions(eval_steps=4, eval_step_fraction=0.4, fosc_center=center, smoothness=smoothness)
    found = validate(Float64(network()), images, EPSILON, protocol, seed=3, batch_size=16)
    expected = plain_validation(network(), images, protocol, 3, center)
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, abs=1e-5)  # The attacked images are float32.


def test_ranks_and_batches_change_nothing(network, images):
    model = Float64(network())
    whole = validate(model, images, EPSILON, ProtocolOptions(), seed=3)
    sums = [
        validation_sums(model, images, EPSILON, ProtocolOptions(), seed=3, batch_size=5, rank=rank, workers=3)
        for rank in range(3)
    ]
    assert [int(part[-1]) for part in sums] == [12, 12, 13]
    assert validation_means(torch.stack(sums).sum(0)) == pytest.approx(whole, abs=1e-9)
    assert whole != validate(model, images, EPSILON, ProtocolOptions(), seed=4)


def test_a_search_in_bfloat16_changes_only_what_follows_from_the_steps(network, images):
    """Clean images and FGSM are measured in float32 alone; PGD's result is judged in float32."""
    model = network()
    exact = validate(model, images, EPSILON, ProtocolOptions(), seed=3)
    sums = validation_sums(model, images, EPSILON, ProtocolOptions(), seed=3, search=torch.bfloat16)
    searched = validation_means(sums)
    same = ("val/clean_acc", "val/clean_loss", "val/fgsm_acc")
    assert [searched[name] for name in same] == [exact[name] for name in same]
    assert searched["val/pgd10_loss"] != exact["val/pgd10_loss"]
    assert searched["val/pgd10_loss"] == pytest.approx(exact["val/pgd10_loss"], rel=0.01)
    assert searched["val/fosc"] == pytest.approx(exact["val/fosc"], rel=0.05, abs=0.005)
    assert searched["val/sgcs"] == pytest.approx(exact["val/sgcs"], abs=0.02)


def test_leaves_everything_alone(network, images):
    model = network().train()
    model[1].eval()
    modes = [m.training for m in model.modules()]
    buffers = [b.clone() for b in model.buffers()]
    torch.manual_seed(0)
    state = torch.get_rng_state()
    validate(model, images, EPSILON, ProtocolOptions(), seed=3)
    assert modes == [m.training for m in model.modules()]
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(state, torch.get_rng_state())


def test_is_measured_in_float32_inside_autocast(network, images):
    model = network()
    expected = validate(model, images, EPSILON, ProtocolOptions(), seed=3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert validate(model, images, EPSILON, ProtocolOptions(), seed=3) == expected


class Counter(torch.nn.Module):
    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def forward(self, x):
        self.calls.append(1)
        return x


def test_runs_steps_plus_three_forwards_per_batch(network, images):
    calls = []
    model = torch.nn.Sequential(Counter(calls), network())
    validate(model, images, EPSILON, ProtocolOptions(eval_steps=10), seed=3)
    assert len(calls) == 13  # clean, FGSM, ten steps and the result
