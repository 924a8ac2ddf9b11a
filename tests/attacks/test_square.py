"""Square against AutoAttack's own implementation and against the optimum on a linear model."""

from __future__ import annotations

import pytest
import torch
from pyautoattack import AutoAttack
from pyautoattack.square import SquareAttack

from core.attacks import Square, build_attack, square

pytestmark = pytest.mark.numeric


def generator(seed=5):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("size", "queries"), [(8, 1000), (32, 5000), (64, 100)])
def test_sides_follow_the_rescaled_schedule(size, queries):
    reference = SquareAttack(None, n_queries=queries, eps=0.1)
    ours = Square(epsilon=0.1, queries=queries)
    for iteration in range(queries):
        side = max(round((reference.p_selection(iteration) * size * size) ** 0.5), 1)
        assert ours.side(iteration, size, size) == min(side, size)


def test_reaches_the_optimum_on_a_linear_model():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32, 2)).double()
    x = torch.rand((5, 2, 4, 4), generator=generator(), dtype=torch.float64)
    with torch.no_grad():
        model[1].bias += torch.tensor([50.0, 0.0])  # nothing is ever fooled, so that the search never stops
    y = torch.zeros(5, dtype=torch.int64)
    slope = (model[1].weight[1] - model[1].weight[0]).detach().view(2, 4, 4)
    optimum = (x + 0.1 * slope.sign()).clamp(0, 1)
    found = Square(epsilon=0.1, queries=3000).perturb(model, x, y, generator())
    assert torch.allclose(found, optimum, atol=1e-12)


def test_only_survivors_are_queried_in_full_batches(network, batch):
    model = network().eval()
    x, _ = batch(90)
    y = model(x).argmax(1)
    y[:10] = (y[:10] + 1) % 5
    sizes = []
    handle = model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    adversarial = Square(epsilon=0.05, queries=50, batch_size=32).perturb(model, x, y, generator())
    handle.remove()
    assert torch.equal(adversarial[:10], x[:10]), "misclassified images are returned as they are"
    survivors = int((model(adversarial).argmax(1) == y).sum())
    assert 0 < survivors < 70
    assert sizes[:3] == [32, 32, 26]
    assert max(sizes) == 32
    per_query, rest = [], sizes[3:]
    while rest:
        full = next((i for i, size in enumerate(rest) if size < 32), len(rest) - 1)
        per_query.append(sum(rest[: full + 1]))
        rest = rest[full + 1 :]
    assert per_query[0] == 80
    assert len(per_query) == 50
    assert per_query == sorted(per_query, reverse=True)
    assert survivors <= per_query[-1] <= survivors + 3


def test_an_images_search_does_not_depend_on_the_fate_of_others(network, batch):
    model = network().double().eval()
    x, _ = batch(40)
    x = x.double()
    y = model(x).argmax(1)
    attack = Square(epsilon=0.05, queries=40)
    whole = attack.perturb(model, x, y, generator())
    wrong = y.clone()
    wrong[::2] = (wrong[::2] + 1) % 5
    half = attack.perturb(model, x, wrong, generator())
    assert torch.equal(whole[1::2], half[1::2])


@pytest.mark.parametrize("channels", [1, 2])
def test_small_images_are_asked_less_often_and_found_alike(network, batch, channels, monkeypatch):
    model = network(channels=channels).double().eval()
    x, _ = batch(30, channels=channels)
    x = x.double()
    y = model(x).argmax(1)
    evaluated = []

    def search(remembers: bool) -> torch.Tensor:
        evaluated.clear()
        if not remembers:
            monkeypatch.setattr(square, "_Answered", lambda images, kinds, device: None)
        handle = model.register_forward_pre_hook(lambda module, args: evaluated.append(len(args[0])))
        found = Square(epsilon=0.01, queries=600).perturb(model, x, y, generator())
        handle.remove()
        return found

    found, few = search(remembers=True), sum(evaluated)
    assert 0 < int((model(found).argmax(1) != y).sum()) < 30
    assert torch.equal(search(remembers=False), found)
    assert few < 0.8 * sum(evaluated)


class InclusiveSquare(SquareAttack):
    """AutoAttack's Square with places drawn from 0..side - s as in the paper; its own never reaches the last one."""

    def random_int(self, low=0, high=1, shape=(1,)):
        return super().random_int(low, high + 1, list(shape))


@pytest.mark.slow
def test_agrees_with_autoattacks_square(network, batch):
    model = network(channels=3).eval()
    x, _ = batch(400, channels=3)
    teacher = torch.randn((3 * 64, 5), generator=generator())
    y = (x.flatten(1) - 0.5).matmul(teacher).argmax(1)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for epoch in range(30):
        for part in torch.randperm(400, generator=generator(epoch)).split(50):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(x[part]), y[part]).backward()
            optimiser.step()
    ours, theirs = [], []
    for seed in range(4):
        with torch.random.fork_rng():
            reference = InclusiveSquare(model, n_queries=300, eps=0.03, seed=seed, device="cpu").perturb(x, y)
        found = Square(epsilon=0.03, queries=300).perturb(model, x, y, generator(seed))
        ours.append((model(found).argmax(1) == y).float().mean().item())
        theirs.append((model(reference).argmax(1) == y).float().mean().item())
    clean = (model(x).argmax(1) == y).float().mean().item()
    assert 0.2 < sum(ours) / 4 < clean - 0.2
    assert abs(sum(ours) - sum(theirs)) / 4 < 0.02, (clean, ours, theirs)


@pytest.mark.parametrize("queries", [40, 300])
def test_autoattacks_square_decides_as_autoattack_does(network, batch, queries):
    """The whole of AutoAttack with Square alone and the same seed fools the same images."""
    model = network(channels=3).eval()
    x, _ = batch(60, channels=3)
    y = model(x).argmax(1)
    seed = int(torch.randint(2**31, (1,), generator=generator(3)))
    reference = AutoAttack(model, version="custom", attacks=["square"], eps=0.02, seed=seed, device="cpu")
    reference.square.n_queries = queries
    with torch.random.fork_rng(), torch.no_grad():
        theirs, _ = reference.run_standard_evaluation(x, y, batch_size=60)
    before = torch.random.get_rng_state()
    ours = build_attack("square-autoattack", 0.02, queries=queries).perturb(model, x, y, generator(3))
    assert torch.equal(ours, theirs)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert 0 < int((model(ours).argmax(1) != y).sum()) < 60


def test_autoattacks_square_keeps_the_schedule_of_ten_thousand_queries():
    """With 1,000 queries the rescaled squares end with side 1, and AutoAttack's with side 7 on 32x32 images."""
    reference = SquareAttack(None, n_queries=1000, eps=0.1, resc_schedule=False)
    assert round((reference.p_selection(999) * 32 * 32) ** 0.5) == 7
    assert Square(epsilon=0.1, queries=1000).side(999, 32, 32) == 1
