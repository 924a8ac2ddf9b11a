"""LAS-AT in float64: choices, attacks, reward and policy gradient against the algorithm written down image by image."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Categorical

from core.config import Cell
from core.methods import Batch, build_method
from core.methods.las_at import _resists, _sampled
from tests.methods.lookup import Lookup, PlainRun, logits, objective_of, whole_batch

pytestmark = pytest.mark.numeric

Y = torch.tensor([0, 2, 1, 1, 0, 3])
N = len(Y)
EPSILON, STEP, STEPS, LR = 0.1, 0.03, 3, 0.2
RADII, COUNTS, SIZES = [n / 255 for n in range(3, 15)], list(range(2, 5)), [n / 255 for n in range(1, 5)]


def cell(**options: Any) -> Cell:
    given = {"epsilon": EPSILON, "attack_step_size": STEP, "attack_steps": STEPS, "classes": 4, "image_size": 8}
    given |= {"policy_model": "small-cnn", "policy_interval": 2, "policy_steps_min": 2, "policy_steps_max": 4}
    given |= {"weight_decay": 0.01, "momentum": 0, "nesterov": False}
    return Cell.from_flat({"method": "las-at", **given, **options})


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.Tanh(), nn.Linear(6, 4)).double()


@pytest.fixture
def prepared() -> tuple[Any, Any, Batch]:
    torch.manual_seed(5)
    run: Any = PlainRun(network())
    run.optimizer = torch.optim.SGD(run.model.parameters(), lr=LR)
    method: Any = build_method(cell(policy_lr=0.5))
    method.build(run, torch.Generator().manual_seed(0))
    method.policy.double()
    x = torch.rand(N, 1, 8, 8, dtype=torch.float64)
    drawn = method.draw(x, Y, torch.Generator().manual_seed(1))
    return method, run, whole_batch(x, Y, **drawn)


def test_soft_labels() -> None:
    adv = logits(1, N, 4)
    found = objective_of(cell(soft_label=0.6), Lookup(), adv, adv, Y)
    target = np.full((N, 4), 0.4 / 3)
    target[np.arange(N), Y.numpy()] = 0.6
    log_p = adv.numpy() - np.log(np.exp(adv.numpy()).sum(1, keepdims=True))
    assert found.total.item() == pytest.approx(-(target * log_p).sum(1).mean(), rel=1e-12)


def test_choices_are_sampled_by_their_probabilities() -> None:
    p = torch.tensor([0.1, 0.0, 0.6, 0.3], dtype=torch.float64)
    numbers = torch.rand(20000, 1, generator=torch.Generator().manual_seed(0))
    chosen = _sampled([p.log().expand(20000, 4)], numbers)[:, 0]
    np.testing.assert_allclose(torch.bincount(chosen, minlength=4) / 20000, p, atol=0.015)
    edges = _sampled([p.log().expand(3, 4)], torch.tensor([[0.0], [0.1001], [1 - 2**-24]]))[:, 0]
    assert edges.tolist() == [0, 2, 3]


def test_the_choices_are_one_pixel_value_apart() -> None:
    radius, steps, size = build_method(cell()).choices  # type: ignore[attr-defined]
    np.testing.assert_allclose(radius, RADII, atol=1e-7)
    np.testing.assert_allclose(size, SIZES, atol=1e-7)
    assert steps.tolist() == COUNTS


def ascend(model: nn.Module, image: Tensor, label: Tensor, start: Tensor, r: float, steps: int, size: float) -> Tensor:
    """One image's PGD."""
    at = start[None]
    for _ in range(steps):
        leaf = at.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(leaf), label[None]), leaf)
        at = torch.max(torch.min(at + size * gradient.sign(), image + r), image - r).clamp(0, 1)
    return at[0]


def chosen_by(policy: nn.Module, x: Tensor, numbers: Tensor) -> list[list[int]]:
    """The choices by the inverse of each distribution function."""
    parts = policy(x).detach().split([len(RADII), len(COUNTS), len(SIZES)], dim=1)
    return [
        [int(np.searchsorted(F.softmax(z[i], 0).cumsum(0).numpy(), numbers[i, head].item(), side="right"))
         for head, z in enumerate(parts)]
        for i in range(N)
    ]  # fmt: skip


def attacked(model: nn.Module, batch: Batch, choices: list[list[int]]) -> Tensor:
    return torch.stack(
        [
            ascend(model, batch.x[i], Y[i], batch.drawn["start"][i], RADII[r], COUNTS[k], SIZES[s])
            for i, (r, k, s) in enumerate(choices)
        ]
    )


def test_every_image_has_its_own_attack(prepared: tuple[Any, Any, Batch]) -> None:
    method, run, batch = prepared
    choices = chosen_by(method.policy.eval(), batch.x, batch.drawn["choice"])
    assert len({tuple(choice) for choice in choices}) > 2
    expected = attacked(run.model, batch, choices)
    torch.testing.assert_close(method.attack(run, batch)["x"], expected, rtol=0, atol=1e-7)


def results_by_hand(model: nn.Module, batch: Batch, i: int) -> list[tuple[float, bool]]:
    """Loss at the end of each of an image's two attacks, and whether it is classified correctly there."""
    results = []
    for start in (batch.drawn["start"][i], batch.drawn["restart"][i]):
        at = start
        for _ in range(STEPS):
            if model(at[None]).argmax() == Y[i]:
                at = ascend(model, batch.x[i], Y[i], at, EPSILON, 1, STEP)
        z = model(at[None])
        results.append((F.cross_entropy(z, Y[i : i + 1]).item(), bool(z.argmax() == Y[i])))
    return results


def test_an_image_resists_if_it_does_at_its_largest_loss(prepared: tuple[Any, Any, Batch]) -> None:
    method, _, batch = prepared
    differ = 0
    for seed in range(20):
        torch.manual_seed(seed)
        model = network()
        with torch.no_grad():
            model[1].weight.mul_(20)
        results = [results_by_hand(model, batch, i) for i in range(N)]
        assert _resists(method.inner, model, batch).tolist() == [max(pair)[1] for pair in results]
        differ += sum(one[1] != other[1] for one, other in results)
    assert differ > 0, "both starts always end the same: the choice between them is not seen"


def reward_by_hand(model: nn.Module, batch: Batch, x_adv: Tensor) -> tuple[float, nn.Module]:
    """The reward, and the network a step later."""
    loss = min(F.cross_entropy(model(x_adv), Y).item(), 10)
    twin = copy.deepcopy(model)
    log_p = F.log_softmax(twin(x_adv), 1)
    target = F.one_hot(Y, 4).double() * (0.7 - 0.1) + 0.1
    gradients = torch.autograd.grad(-(target * log_p).sum(1).mean(), list(twin.parameters()))
    with torch.no_grad():
        for weight, gradient in zip(twin.parameters(), gradients, strict=True):
            weight.sub_(LR * (gradient + 0.01 * weight))
    robust = sum(max(results_by_hand(twin, batch, i))[1] for i in range(N))
    clean = (twin(batch.x).argmax(1) == Y).double().mean().item()
    return loss + 4 * robust / N + 2 * clean, twin


def test_the_policy_ascends_the_reward(prepared: tuple[Any, Any, Batch]) -> None:
    method, run, batch = prepared
    policy, before = copy.deepcopy(method.policy), copy.deepcopy(run.model.state_dict())
    choices = chosen_by(copy.deepcopy(policy).train(), batch.x, batch.drawn["trial"])
    x_adv = attacked(run.model, batch, choices)
    reward, twin = reward_by_hand(run.model, batch, x_adv)
    assert method._reward(run, batch, x_adv) == pytest.approx(reward, rel=1e-9)
    for ours, theirs in zip(method.updated_model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)

    method._update_policy(run, batch)
    heads = policy.train()(batch.x).split([len(RADII), len(COUNTS), len(SIZES)], dim=1)
    taken = torch.tensor(choices)
    loss = -sum(Categorical(logits=z).log_prob(taken[:, head]).mean() for head, z in enumerate(heads)) * reward
    loss.backward()
    norm = torch.stack([weight.grad.norm() for weight in policy.parameters()]).norm()
    assert norm > 1, "the clipping is not seen"
    for ours, theirs in zip(method.policy.parameters(), policy.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs - 0.5 * theirs.grad / norm, rtol=0, atol=1e-6)
        assert not torch.equal(ours, theirs)
    assert all(torch.equal(a, b) for a, b in zip(run.model.state_dict().values(), before.values(), strict=True))


def test_the_policy_moves_every_so_many_batches(prepared: tuple[Any, Any, Batch]) -> None:
    method, run, batch = prepared
    run.descend = lambda batch, found: None
    moved = []
    for run.step in range(4):
        before = copy.deepcopy(method.policy.state_dict())
        method.step(run, batch)
        now = method.policy.state_dict()
        moved.append(any(not torch.equal(now[name], before[name]) for name in before))
    assert moved == [False, True, False, True]


@pytest.mark.parametrize("part", ["radius", "steps", "size"])
def test_an_empty_range_of_choices_is_refused(part: str) -> None:
    low, high = (9, 8) if part == "steps" else ("9/255", "8/255")
    with pytest.raises(ValueError, match=f"policy_{part}_min .* is impossible with policy_{part}_max"):
        cell(**{f"policy_{part}_min": low, f"policy_{part}_max": high})
