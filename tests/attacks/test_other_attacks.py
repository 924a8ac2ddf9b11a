"""MI-FGSM, DeepFool, transfer, names and robust accuracy, each against something independent."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from core.attacks import DeepFool, MiFgsm, Pgd, Transfer, build_attack, resists, robust_accuracy
from core.fast import FoldedNetwork

pytestmark = pytest.mark.numeric


def generator(seed=5):
    return torch.Generator().manual_seed(seed)


class Waves(nn.Module):
    """Softmax regression on ``sin(9 x)``: a loss whose gradient keeps turning."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x):
        return self.linear(torch.sin(9 * x))


def test_mi_fgsm_against_numpy(linear):
    x = torch.rand((8, 1, 4, 4), generator=generator(), dtype=torch.float64)
    y = torch.arange(8) % 4
    weight, bias = (p.detach().numpy() for p in linear[1].parameters())
    epsilon, steps, decay = 0.3, 6, 0.7
    expected = []
    for image, label in zip(x.flatten(1).numpy(), y.numpy(), strict=True):
        adversarial, momentum = image.copy(), np.zeros(16)
        for _ in range(steps):
            logits = weight @ np.sin(9 * adversarial) + bias
            p = np.exp(logits) / np.exp(logits).sum()
            gradient = weight.T @ (p - np.eye(4)[label]) * 9 * np.cos(9 * adversarial)
            momentum = decay * momentum + gradient / np.abs(gradient).sum()
            adversarial = np.clip(adversarial + epsilon / steps * np.sign(momentum), 0, 1)
        expected.append(adversarial)
    found = MiFgsm(epsilon=epsilon, steps=steps, decay=decay).perturb(Waves(linear), x, y, generator())
    np.testing.assert_allclose(found.flatten(1).numpy(), expected, atol=1e-12)


def test_momentum_changes_the_steps(network, batch):
    x, y = batch(50)
    x, model = x.double(), network().double()
    with_momentum = MiFgsm(epsilon=0.1).perturb(model, x, y, generator())
    without = MiFgsm(epsilon=0.1, decay=0).perturb(model, x, y, generator())
    plain = Pgd(epsilon=0.1, step_size=0.01, steps=10, start="none").perturb(model, x, y, generator())
    assert torch.allclose(without, plain, atol=1e-12)
    assert not torch.allclose(with_momentum, plain, atol=1e-3)


def linear_distances(model, x, y):
    """Smallest l-infinity distance to a wrong class of a linear model, per image (no box)."""
    logits, weight = model(x).detach(), model[1].weight.detach()
    lead = logits.gather(1, y[:, None]) - logits
    slopes = (weight[y][:, None] - weight[None]).abs().sum(2)
    return (lead / slopes).nan_to_num(torch.inf).scatter(1, y[:, None], torch.inf).amin(1)


def test_deepfool_finds_the_nearest_boundary_of_a_linear_model(linear):
    x = 0.5 + 0.02 * torch.rand((40, 1, 4, 4), generator=generator(), dtype=torch.float64)
    y = linear(x).argmax(1)
    distance = linear_distances(linear, x, y)
    assert distance.max() < 0.4, "the box must not matter here"
    found = DeepFool(epsilon=1.0, overshoot=0.02).perturb(linear, x, y, generator())
    moved = (found - x).flatten(1).abs().amax(1)
    assert torch.allclose(moved, 1.02 * distance, rtol=1e-9)
    assert (linear(found).argmax(1) != y).all()


def test_deepfools_accuracy_at_a_radius_is_the_share_of_larger_distances(linear):
    x = 0.5 + 0.3 * torch.randn((200, 1, 4, 4), generator=generator(), dtype=torch.float64).clamp(-1, 1)
    y = linear(x).argmax(1)
    distance = linear_distances(linear, x, y)
    epsilon = distance.median().item()
    clear = (distance - epsilon).abs() > 0.03 * epsilon
    found = DeepFool(epsilon=epsilon).perturb(linear, x, y, generator())
    robust = linear(found).argmax(1) == y
    assert torch.equal(robust[clear], (distance > epsilon)[clear])


def test_deepfool_is_near_a_strong_pgd(network, batch):
    """Both search a non-convex loss, so an image may fall to one of them only; over many images they are as strong."""
    x, _ = batch(200)
    deepfool, pgd = [], []
    for seed in range(4):
        model = network(seed=seed).double().eval()
        images, y = x.double(), model(x.double()).argmax(1)
        for attack, robust in ((DeepFool(epsilon=0.03), deepfool), (build_attack("pgd-50x3", 0.03), pgd)):
            robust.append(model(attack.perturb(model, images, y, generator())).argmax(1) == y)
    by_deepfool, by_pgd = torch.cat(deepfool).double(), torch.cat(pgd).double()
    assert 0.2 < by_pgd.mean() < 0.8
    assert (by_deepfool == by_pgd).double().mean() > 0.75
    assert abs(by_deepfool.mean() - by_pgd.mean()) < 0.06


def test_transfer_perturbs_on_the_source(network, batch):
    x, y = batch(100)
    source, target = network(seed=0), network(seed=1)
    attack = build_attack("pgd-10", 0.1)
    transferred = Transfer(attack=attack, source=source)
    assert transferred.epsilon == 0.1
    assert torch.equal(transferred.perturb(target, x, y, generator()), attack.perturb(source, x, y, generator()))


def test_names():
    attack = build_attack("pgd-50x5", 8 / 255)
    assert isinstance(attack, Pgd)
    assert (attack.steps, attack.restarts, attack.step_size, attack.start) == (50, 5, 2 / 255, "uniform")
    for name in ("pgd-0", "pgd", "apgd-ce", "pgd-10x0"):
        with pytest.raises(ValueError, match=f"attack '{name}' is unknown; allowed: fgsm, mi-fgsm"):
            build_attack(name, 0.1)


class Recorder(torch.nn.Module):
    """Passes images on and keeps what ``look`` sees in them."""

    def __init__(self, look):
        super().__init__()
        self.seen, self.look = [], look

    def forward(self, x):
        self.seen.append(self.look(x))
        return x


def test_accuracy_is_measured_in_eval_mode_and_float32(network, batch):
    recorder = Recorder(lambda x: x @ torch.eye(8))  # autocast would let it compute in bfloat16
    model = torch.nn.Sequential(recorder, network()).train()
    x, _ = batch(60)
    images = (x * 255).round().to(torch.uint8)
    y = network().eval()(images.float() / 255).argmax(1)
    attack = build_attack("pgd-10", 0.02)
    plain = resists(model, attack, images, y, seed=3)
    assert 0 < plain.sum() < len(y)
    in_parts = resists(model, attack, images.float() / 255, y, seed=3, batch_size=7)
    assert (plain != in_parts).sum() <= 1, "batches of another size round differently, which an image may hang on"
    recorder.seen.clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(plain, resists(model, attack, images, y, seed=3))
        assert torch.is_autocast_enabled("cpu")
    assert {output.dtype for output in recorder.seen} == {torch.float32}
    assert robust_accuracy(model, attack, images, y, seed=3) == int(plain.sum()) / len(y)
    assert robust_accuracy(model, None, images, y, seed=3) == 1
    assert torch.equal(recorder.seen[-1], images.float() / 255)
    assert model.training


@pytest.mark.parametrize("name", ["fgsm", "pgd-10", "pgd-10x3", "square"])
def test_a_search_in_bfloat16_is_judged_in_float32_and_about_as_strong(network, batch, name):
    """An image counts as fooled only if an image within its ball fools the float32 network."""
    x, _ = batch(300)
    model = network().eval()
    y = model(x).argmax(1)
    y[:50] = (y[:50] + 1) % 5
    attack = build_attack(name, 0.01, queries=60)
    exact = resists(model, attack, x, y, seed=3)
    fast = resists(model, attack, x, y, seed=3, search=torch.bfloat16)
    assert not fast[:50].any(), "images that are misclassified without an attack"
    assert 20 < exact.sum() < 230
    assert (fast != exact)[50:].double().mean() < 0.06
    assert abs(fast.sum() - exact.sum()) <= 8


class Rounded(nn.Module):
    """Class 0 in float32, by a lead of 0.001 over gray images, and class 1 in bfloat16, which does not resolve it.

    Pixels move the lead by ``slope`` each.
    """

    def __init__(self, slope):
        super().__init__()
        self.flatten, self.first, self.middle = nn.Flatten(), nn.Linear(4, 2), nn.Linear(2, 2)
        self.last = nn.Linear(2, 2)
        with torch.no_grad():
            self.first.weight.zero_()
            self.first.weight[0] = slope
            self.first.bias.copy_(torch.tensor([1.001 - 2 * slope, 1.0]))
            self.middle.weight.copy_(torch.eye(2))
            self.middle.bias.zero_()
            self.last.weight.copy_(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
            self.last.bias.copy_(torch.tensor([-0.0001, 0.0001]))

    def forward(self, x):
        return self.last(self.middle(self.first(self.flatten(x))))


@pytest.mark.parametrize("name", ["pgd-10x3", "square"])
@pytest.mark.parametrize("slope", [0.0, 0.005])
def test_what_fools_only_the_searching_network_is_attacked_in_float32(name, slope):
    """Within the radius 0.1, four pixels move the lead by 0.4 slopes: enough for the second network only."""
    x, y = torch.full((6, 1, 2, 2), 0.5), torch.zeros(6, dtype=torch.long)
    assert FoldedNetwork(Rounded(slope), torch.bfloat16)(x).argmax(1).all()
    attack = build_attack(name, 0.1, queries=200)
    robust = resists(Rounded(slope), attack, x, y, seed=0, search=torch.bfloat16)
    assert torch.equal(robust, resists(Rounded(slope), attack, x, y, seed=0))
    assert robust.all() if slope == 0 else not robust.any()


@pytest.mark.parametrize("explicit", [False, True])
def test_tf32_is_off_inside_and_as_before_outside(network, batch, explicit):
    """Also where a user has set TF32 for convolutions alone, which the setting of cuDNN as a whole does not change.

    Before torch 2.12 this is torch's default.
    """
    recorder = Recorder(lambda x: tf32_settings())
    model = torch.nn.Sequential(recorder, network())
    if explicit:
        torch.backends.cudnn.conv.fp32_precision = torch.backends.cudnn.rnn.fp32_precision = "tf32"
    before = tf32_settings()
    robust_accuracy(model, None, *batch(), seed=0)
    assert recorder.seen == [{"matmul": "ieee", "conv": "ieee", "rnn": "ieee"}]
    assert tf32_settings() == before
    assert before["conv"] == "tf32", "torch's own default, which the test must not have changed for other tests"


def tf32_settings():
    """What torch says about CUDA's float32 products. Its older interface refuses to answer after any new setting."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return {
        "matmul": matmul.fp32_precision,
        "conv": cudnn.conv.fp32_precision,
        "rnn": cudnn.rnn.fp32_precision,
    }


def test_deepfool_survives_a_flat_model():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    nn.init.zeros_(model[1].weight)
    x, y = torch.rand((2, 1, 2, 2), generator=generator()), model[1].bias.argmax().repeat(2)
    assert torch.equal(DeepFool(epsilon=0.1).perturb(model, x, y, generator()), x)


@pytest.mark.parametrize("search", [None, torch.bfloat16])
@pytest.mark.parametrize("name", ["fgsm", "pgd-4x3", "pgd-targeted-random", "square"])
def test_processes_that_share_the_images_find_what_one_process_finds(network, batch, name, search):
    """One image per forward, because batches of another size round differently."""
    x, _ = batch(20)
    model = network().eval()
    y = model(x).argmax(1)
    y[:3] = (y[:3] + 1) % 5
    attack = build_attack(name, 0.02, queries=70)
    whole = resists(model, attack, x, y, seed=3, batch_size=1, search=search)
    assert 0 < whole.sum() < 17
    for rank in range(3):
        rows = slice(rank, None, 3)
        share = resists(model, attack, x, y, seed=3, batch_size=1, search=search, rows=rows)
        assert torch.equal(share, whole[rows])
    assert resists(model, attack, x, y, seed=3, search=search, rows=slice(25, None)).tolist() == []
