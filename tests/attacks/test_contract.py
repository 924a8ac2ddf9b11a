"""What every attack promises, over one table of attacks."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from core.attacks import Attack, MiFgsm, Pgd, Transfer, build_attack

pytestmark = pytest.mark.numeric

EPSILON = 0.1
ATTACKS: dict[str, Attack] = {
    **{
        name: build_attack(name, EPSILON, queries=60)
        for name in (
            "fgsm",
            "pgd-10",
            "pgd-5x3",
            "mi-fgsm",
            "pgd-targeted-random",
            "pgd-targeted-least-likely",
            "pgd-targeted-random-3",
            "cw",
            "deepfool",
            "square",
            "square-autoattack",
        )
    },
    "tpgd": Pgd(epsilon=EPSILON, step_size=EPSILON / 4, steps=10, loss="kl"),
    "batch-statistics": Pgd(epsilon=EPSILON, step_size=EPSILON / 4, steps=5, bn_mode="train"),
}
DETERMINISTIC = {"fgsm", "mi-fgsm", "deepfool"}


@pytest.fixture(params=[*ATTACKS, "transfer"])
def attack(request, network):
    if request.param == "transfer":
        source = network(3 if "three" in request.node.name else 1, seed=0)
        return Transfer(attack=MiFgsm(epsilon=EPSILON), source=source)
    return ATTACKS[request.param]


def generator(seed=7):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [1, 3], ids=["one-channel", "three-channels"])
@pytest.mark.parametrize("count", [1, 12])
def test_stays_in_ball_and_box(attack, network, batch, channels, count):
    model = network(channels)
    x, y = batch(count, channels)
    before = x.clone()
    adversarial = attack.perturb(model, x, y, generator())
    assert adversarial.shape == x.shape
    assert adversarial.dtype == x.dtype
    assert not adversarial.requires_grad
    assert (adversarial - x).abs().max() <= EPSILON + 1e-6
    assert 0 <= adversarial.min() <= adversarial.max() <= 1
    assert torch.equal(x, before)
    assert not x.requires_grad


def test_leaves_the_model_and_the_global_random_state_alone(attack, network, batch):
    model = network()
    x, y = batch()
    model.train()
    model[1].eval()  # a frozen BatchNorm layer has to stay frozen
    F.cross_entropy(model(x), y).backward()
    state = deepcopy(model.state_dict())
    gradients = [p.grad.clone() for p in model.parameters()]
    modes = [m.training for m in model.modules()]
    tracked = [getattr(m, "track_running_stats", None) for m in model.modules()]
    torch.manual_seed(11)
    global_state = torch.get_rng_state()

    attack.perturb(model, x, y, generator())

    assert all(torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True))
    assert all(torch.equal(a, p.grad) for a, p in zip(gradients, model.parameters(), strict=True))
    assert modes == [m.training for m in model.modules()]
    assert tracked == [getattr(m, "track_running_stats", None) for m in model.modules()]
    assert all(p.requires_grad for p in model.parameters())
    assert torch.equal(global_state, torch.get_rng_state())


def test_leaves_the_mode_alone_when_the_model_fails(attack, network, batch):
    model = network().train()
    x, y = batch(channels=2)
    if isinstance(attack, Transfer):
        attack = Transfer(attack=attack.attack, source=model)
    with pytest.raises(RuntimeError):
        attack.perturb(model, x, y, generator())
    assert all(m.training for m in model.modules())


def test_is_a_function_of_its_generator(attack, request, network, batch):
    x, y = batch()
    model = network()
    first, again, other = (attack.perturb(model, x, y, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    name = request.node.callspec.params["attack"]
    assert torch.equal(first, other) == (name in DETERMINISTIC or name == "transfer")


def test_ignores_the_models_mode(attack, network, batch):
    x, y = batch()
    model = network()
    in_train = attack.perturb(model.train(), x, y, generator())
    assert torch.equal(in_train, attack.perturb(model.eval(), x, y, generator()))


def test_raises_the_loss(attack, network, batch):
    model = network().eval()
    x, _ = batch(64)
    y = model(x).argmax(1)
    adversarial = attack.perturb(model, x, y, generator())
    with torch.no_grad():
        assert F.cross_entropy(model(adversarial), y) > F.cross_entropy(model(x), y)
        assert (model(adversarial).argmax(1) != y).any()


def test_does_not_depend_on_the_forwards_batch_size(attack, request, network, batch):
    if request.node.callspec.params["attack"] == "batch-statistics":
        pytest.skip("batch statistics are those of the forward's batch")
    x, y = batch(12)
    model = network().double()
    x = x.double()
    if isinstance(attack, Transfer):
        attack = Transfer(attack=attack.attack, source=model)
    whole = attack.perturb(model, x, y, generator())
    parts = replace(attack, batch_size=5).perturb(model, x, y, generator())
    assert torch.allclose(whole, parts, atol=1e-9)


def test_works_inside_no_grad(attack, network, batch):
    x, y = batch()
    model = network()
    with torch.no_grad():
        inside = attack.perturb(model, x, y, generator())
    assert torch.equal(inside, attack.perturb(model, x, y, generator()))
