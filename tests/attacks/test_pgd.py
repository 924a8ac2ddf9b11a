"""PGD against textbook loops, closed forms on linear models and simulation."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from core.attacks import Pgd
from core.attacks.targets import least_likely_targets, random_targets

pytestmark = pytest.mark.numeric

EPSILON = 0.1


def generator(seed=5):
    return torch.Generator().manual_seed(seed)


def trades_attack(model, x, start, step_size, steps):
    """Official TRADES, transcribed: no caching, a backward through everything, gradient of the summed KL."""
    criterion = torch.nn.KLDivLoss(reduction="sum")
    model.eval()
    x_adv = start.detach()
    for _ in range(steps):
        x_adv.requires_grad_()
        with torch.enable_grad():
            loss = criterion(F.log_softmax(model(x_adv), dim=1), F.softmax(model(x), dim=1))
        grad = torch.autograd.grad(loss, [x_adv])[0]
        x_adv = x_adv.detach() + step_size * torch.sign(grad.detach())
        x_adv = torch.min(torch.max(x_adv, x - EPSILON), x + EPSILON)
        x_adv = torch.clamp(x_adv, 0.0, 1.0)
    return x_adv


def test_kl_is_the_official_trades_attack(network, batch):
    model, (x, y) = network().double(), batch()
    x = x.double()
    attack = Pgd(epsilon=EPSILON, step_size=0.03, steps=7, loss="kl")
    start = x + 0.001 * torch.randn(x.shape, generator=generator(), dtype=x.dtype)
    expected = trades_attack(deepcopy(model), x, start, 0.03, 7)
    assert (start < 0).any(), "the start has to leave the box for this test to see whether it is clamped"
    assert torch.allclose(attack.perturb(model, x, y, generator()), expected, atol=1e-12)
    assert torch.allclose(attack.perturb_from(model, x, y, start), expected, atol=1e-12)


def test_the_gaussian_start_is_not_clamped_before_the_first_step(network, batch):
    x, y = batch()
    seen = []
    attack = Pgd(epsilon=EPSILON, step_size=0.03, steps=2)
    attack.run(network(), x, y, generator(), lambda step, images, gradient: seen.append(images))
    assert seen[0].min() < 0
    assert seen[1].min() >= 0


def test_bn_train_is_a_train_mode_model_with_its_buffers_put_back(batch, network):
    model, (x, y) = network().double(), batch()
    del model[3]  # dropout stays in eval mode: an attack never draws from the global generator
    x = x.double()
    hand = deepcopy(model).train()
    x_adv = x.clone()
    for _ in range(3):
        x_adv.requires_grad_()
        grad = torch.autograd.grad(F.cross_entropy(hand(x_adv), y), x_adv)[0]
        x_adv = x_adv.detach() + 0.04 * grad.sign()
        x_adv = torch.min(torch.max(x_adv, x - EPSILON), x + EPSILON).clamp(0, 1)
    attack = Pgd(epsilon=EPSILON, step_size=0.04, steps=3, start="none", bn_mode="train")
    assert torch.allclose(attack.perturb(model, x, y, generator()), x_adv, atol=1e-12)
    in_eval_mode = Pgd(epsilon=EPSILON, step_size=0.04, steps=3, start="none")
    assert not torch.allclose(in_eval_mode.perturb(model, x, y, generator()), x_adv, atol=1e-3)


def test_fgsm_is_one_step_of_size_epsilon_from_the_image(network, batch):
    model, (x, y) = network().double().eval(), batch()
    x = x.double()
    leaf = x.clone().requires_grad_()
    F.cross_entropy(model(leaf), y).backward()
    attack = Pgd(epsilon=EPSILON, step_size=EPSILON, steps=1, start="none")
    expected = (x + EPSILON * leaf.grad.sign()).clamp(0, 1)
    assert torch.allclose(attack.perturb(model, x, y, generator()), expected, atol=1e-12)


@pytest.mark.parametrize("start", ["gaussian", "uniform", "none"])
def test_margin_reaches_the_maximum_on_a_linear_model(linear, start):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2)).double()
    x = torch.rand((6, 1, 4, 4), generator=generator(), dtype=torch.float64)
    y = torch.tensor([0, 1, 0, 1, 0, 1])
    slope = (model[1].weight[1] - model[1].weight[0]).detach().view(1, 4, 4)
    direction = torch.where(y[:, None, None, None] == 0, slope, -slope).sign()
    attack = Pgd(epsilon=EPSILON, step_size=EPSILON / 4, steps=9, start=start, loss="margin")
    expected = (x + EPSILON * direction).clamp(0, 1)
    assert torch.allclose(attack.perturb(model, x, y, generator()), expected, atol=1e-12)


def test_observer_sees_the_gradient_of_each_images_own_loss(network, batch):
    model, (x, y) = network().double().eval(), batch()
    steps = []
    attack = Pgd(epsilon=EPSILON, step_size=0.03, steps=3)
    result = attack.run(model, x.double(), y, generator(), lambda *step: steps.append(step))
    assert [step for step, _, _ in steps] == [0, 1, 2]
    for _, images, gradient in steps:
        for i in range(len(x)):
            leaf = images[i : i + 1].clone().requires_grad_()
            alone = torch.autograd.grad(F.cross_entropy(model(leaf), y[i : i + 1]), leaf)[0]
            assert torch.allclose(gradient[i], alone[0], atol=1e-12)
    assert torch.equal(result, attack.perturb(model, x.double(), y, generator()))


def test_uniform_start_fills_the_ball_and_stays_in_the_box():
    x = torch.full((2000, 1, 2, 2), 0.5)
    x[:, :, 0] = 0.02
    start = Pgd(epsilon=EPSILON, step_size=0.1, steps=1, start="uniform").start_points(x, generator())
    inner = (start - x)[:, :, 1].flatten() / EPSILON
    assert inner.abs().max() <= 1 + 1e-6
    assert abs(inner.mean()) < 0.05
    assert abs(inner.std() - 3**-0.5) < 0.02
    assert start.min() == 0
    assert abs((start[:, :, 0] == 0).float().mean() - 0.4) < 0.03  # (0.1 - 0.02) / 0.2 of the mass lies below 0


def test_restarts_only_attack_survivors_and_keep_what_succeeded(network, batch):
    model = network().double().eval()
    x = batch(200)[0].double()
    y = model(x).argmax(1)
    attack = Pgd(epsilon=0.05, step_size=0.02, steps=2, start="uniform")
    rng = generator()
    runs = [attack.perturb(model, x, y, rng) for _ in range(3)]
    fooled = [model(run).argmax(1) != y for run in runs]
    sizes = []
    model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    restarted = Pgd(epsilon=0.05, step_size=0.02, steps=2, start="uniform", restarts=3).perturb(
        model, x, y, generator()
    )
    alive = torch.ones(len(x), dtype=torch.bool)
    expected = torch.empty_like(x)
    for run, success in zip(runs, fooled, strict=True):
        expected[alive] = run[alive]
        alive &= ~success
    assert torch.allclose(restarted, expected, atol=1e-12)
    assert 0 < alive.sum() < (~fooled[0]).sum(), "the later runs have to matter here"
    left = [int((~fooled[0]).sum()), int((~fooled[0] & ~fooled[1]).sum())]
    assert sizes == [200, 200, 200, left[0], left[0], 200, left[1], left[1]]


def test_targeted_ascends_towards_the_target(network, batch):
    model = network().eval()
    x, y = batch(50)
    clean = model(x).detach()
    least = least_likely_targets(y, clean)
    order = clean.argsort(1)
    assert torch.equal(least, torch.where(order[:, 0] == y, order[:, 1], order[:, 0]))
    attack = Pgd(epsilon=EPSILON, step_size=0.02, steps=5, start="none", target="least-likely")
    toward = attack.perturb(model, x, y, generator())
    assert F.cross_entropy(model(toward), least) < F.cross_entropy(model(x), least) - 0.1


def test_random_targets_are_uniform_over_the_wrong_classes():
    y = torch.arange(4).repeat_interleave(3000)
    drawn = random_targets(y, 4, generator())
    counts = torch.zeros(4, 4).index_put_((y, drawn), torch.ones(len(y)), accumulate=True)
    assert counts.diagonal().sum() == 0
    assert ((counts + torch.eye(4) * 1000 - 1000).abs() < 120).all()


def test_an_impossible_combination_is_refused():
    with pytest.raises(ValueError, match="loss kl is impossible with target random; allowed: ce"):
        Pgd(epsilon=0.1, step_size=0.1, steps=1, loss="kl", target="random")


def test_a_loss_scale_saves_gradients_that_underflow_in_fp16():
    first, last = torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)
    with torch.no_grad():
        first.weight.copy_(torch.rand((8, 4), generator=generator()) * 1e-4)
        last.weight.copy_(torch.tensor([[1e-5], [-1e-5]]).expand(2, 8))
    model = torch.nn.Sequential(torch.nn.Flatten(), first, last)
    x, y = torch.full((3, 1, 2, 2), 0.5), torch.zeros(3, dtype=torch.int64)
    moved = {}
    for scale in (1.0, 1024.0):
        attack = Pgd(epsilon=EPSILON, step_size=0.1, steps=1, start="none", loss_scale=scale)
        exact = attack.perturb(model, x, y, generator())
        with torch.autocast("cpu", dtype=torch.float16):
            moved[scale] = (attack.perturb(model, x, y, generator()) - x).abs().max().item()
        assert torch.allclose(exact, x - 0.1)
    assert moved[1.0] == 0
    assert moved[1024.0] == pytest.approx(0.1)
